"""Questions about texts, read from SQuAD's JSON."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from torch import Tensor

from datamodules.errors import DataError
from datamodules.files.encoding import decoded, json_value
from datamodules.files.paths import regular
from datamodules.storage.stored_rows import Rows, concatenated, split_indices, stored_rows
from datamodules.storage.streaming import Repeatable, file_state, is_large

MEMORY_FACTOR = 4  # times as much memory as plain texts: each question is stored with windows of its context


@dataclass
class Question:
    """A question about a context.

    Args:
        text: the question.
        context: the context's index.
        name: the publisher's identifier.
        answers: all correct texts; none if the context does not contain an answer.
        start: position in the context of the first answer that is found there; None if none is.
        end: the position after it.
        corrected: number of answers that are elsewhere in the context than the file states.
        lost: number of answers that are not in the context.
    """

    text: str
    context: int
    name: str = ""
    answers: list[str] = field(default_factory=list)
    start: int | None = None
    end: int | None = None
    corrected: int = 0
    lost: int = 0

    @property
    def can_train(self) -> bool:
        """Whether the position of the answer is known, or that there is none."""
        return self.start is not None or not self.answers


@dataclass
class Book:
    """Contexts and questions about them.

    Args:
        contexts: the texts.
        questions: in the order of their contexts.
    """

    contexts: Rows[str] = field(default_factory=list)
    questions: Rows[Question] = field(default_factory=list)

    @property
    def corrected(self) -> int:
        """Number of answers that are elsewhere in their context than the file states."""
        return sum(question.corrected for question in self.questions)

    @property
    def lost(self) -> int:
        """Number of answers that are not in their context."""
        return sum(question.lost for question in self.questions)


def find_answer(answer: str, context: str, expected: int) -> int | None:
    """The position of an answer in its context: as expected, or else the nearest one; None if it is not there."""
    if expected >= 0 and context[expected : expected + len(answer)] == answer:
        return expected
    positions, found = [], context.find(answer)
    while found >= 0:
        positions.append(found)
        found = context.find(answer, found + 1)
    return min(positions, key=lambda position: abs(position - expected), default=None)


def read_books(files: dict[str, Path], encoding: str, answered: bool = True) -> tuple[Book, dict[str, Tensor]]:
    """The contexts and questions of files in SQuAD's JSON, which are kept in memory unless the files are too large.

    A JSON document cannot be read in parts: the first of several processes parses a large file, once.

    Args:
        files: file of each split, or one under an empty name.
        encoding: encoding of the files.
        answered: whether the questions need answers.

    Returns:
        All of them, and the indices of each split's contexts.
    """
    large = is_large(files.values(), times=MEMORY_FACTOR)
    parts: list[Book] = []
    for file in files.values():
        first = sum(len(part.contexts) for part in parts)
        read = cache(partial(read_squad, file, encoding, answered, first))
        parts.append(_stored(read, [file_state(file), encoding, f"{answered} {first}"]) if large else read())
    book = Book(concatenated([part.contexts for part in parts]), concatenated([part.questions for part in parts]))
    return book, split_indices({split: len(part.contexts) for split, part in zip(files, parts, strict=True)})


def _stored(read: Callable[[], Book], key: list[str]) -> Book:
    contexts = stored_rows(Repeatable(lambda: iter(read().contexts)), ["contexts", *key], from_json=str)
    questions = stored_rows(
        Repeatable(lambda: iter(read().questions)), ["questions", *key], from_json=_question_from_json
    )
    return Book(contexts, questions)


def _question_from_json(row: list[Any]) -> Question:
    """A question from the list of its attributes."""
    return Question(*row)


def read_squad(path: Path, encoding: str, answered: bool = True, first: int = 0) -> Book:
    """The contexts and questions of a file in SQuAD's JSON.

    Rajpurkar et al. 2016, https://arxiv.org/abs/1606.05250; `is_impossible` as in SQuAD 2.0, Rajpurkar et al. 2018,
    https://arxiv.org/abs/1806.03822. A wrong `answer_start` is corrected if the answer's text is found.

    Args:
        path: the file.
        encoding: encoding of the file.
        answered: whether the questions need answers.
        first: index of its first context.

    Raises:
        DataError: the file is empty, not text, not JSON, or not in that form; the message has the position.
    """
    contexts: list[str] = []
    questions: list[Question] = []
    for i, article in enumerate(_articles(path, encoding)):
        for j, paragraph in enumerate(_part(article, "paragraphs", list, f"{path}: data[{i}]")):
            where = f"{path}: data[{i}].paragraphs[{j}]"
            context = _part(paragraph, "context", str, where)
            for k, row in enumerate(_part(paragraph, "qas", list, where)):
                questions.append(_question(row, context, first + len(contexts), f"{where}.qas[{k}]", answered))
            contexts.append(context)
    return Book(contexts, questions)


def _articles(path: Path, encoding: str) -> list[Any]:
    text = decoded(regular(path).read_bytes(), encoding, path)
    if not text.strip():
        raise DataError(f"{path}: the file is empty")
    try:
        articles = json_value(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON ({error.msg}, column {error.colno})") from None
    articles = articles.get("data") if isinstance(articles, dict) else articles
    if not isinstance(articles, list):
        raise DataError(
            f'{path}: expected SQuAD\'s form, {{"data": [{{"paragraphs": [{{"context": …, "qas": […]}}]}}]}}'
        )
    return articles


def _part(row: Any, key: str, type_: type, where: str) -> Any:
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, type_):
        expected = "a text" if type_ is str else "a list"
        raise DataError(
            f'{where}: expected {expected} "{key}", found {type(value).__name__ if value is not None else "none"}'
        )
    return value


def _question(row: Any, context: str, index: int, where: str, answered: bool) -> Question:
    question = Question(_part(row, "question", str, where), index, str(row.get("id", "")))
    if not answered or row.get("is_impossible"):
        return question
    answers = _part(row, "answers", list, where)
    if not answers and "is_impossible" not in row:
        raise DataError(f'{where}: no answers; a question without one is marked by "is_impossible": true')
    for i, answer in enumerate(answers):
        text = _part(answer, "text", str, f"{where}.answers[{i}]").strip()
        if not text:
            raise DataError(f"{where}.answers[{i}]: the answer's text is empty")
        start = answer.get("answer_start", -1)
        if not isinstance(start, int):
            raise DataError(f"{where}.answers[{i}]: expected an integer as answer_start, found {start!r}")
        found = find_answer(text, context, start)
        stripped = found is not None and context[max(start, 0) :].lstrip().startswith(text) and answer["text"] != text
        question.lost += found is None
        question.corrected += found is not None and found != start and not stripped
        question.answers.append(text)
        if found is not None and question.start is None:
            question.start, question.end = found, found + len(text)
    return question
