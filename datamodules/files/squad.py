"""Questions about texts: read from SQuAD's JSON, or made up."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datamodules.files.encoding import decoded, json_value
from datamodules.files.paths import regular
from datamodules.files.text_files import Repeatable, is_large, state_of
from datamodules.storage.download import DataError
from datamodules.storage.stored_rows import StoredRows, joined, stored_rows

WINDOWS = 4  # times as much memory as other texts: each question stands beside windows of its context


@dataclass
class Question:
    """A question about a context.

    Args:
        text: the question.
        context: the context's number.
        name: by which its publisher knows it.
        answers: every text that is right; none where the context holds no answer.
        start: where the first of them stands that stands in the context; None where none does.
        end: the place after it.
        repaired: how many answers stand elsewhere in the context than the file said.
        lost: how many answers do not stand in the context at all.
    """

    text: str
    context: int
    name: str = ""
    answers: list[str] = field(default_factory=list)
    start: int | None = None
    end: int | None = None
    repaired: int = 0
    lost: int = 0

    @property
    def can_train(self) -> bool:
        """Whether it is known where the answer stands, or that there is none."""
        return self.start is not None or not self.answers


@dataclass
class Book:
    """Contexts and questions about them.

    Args:
        contexts: the texts.
        questions: in the order of their contexts.
    """

    contexts: list[str] | StoredRows[str] = field(default_factory=list)
    questions: list[Question] | StoredRows[Question] = field(default_factory=list)

    @property
    def repaired(self) -> int:
        """How many answers stand elsewhere in their context than the file said."""
        return sum(question.repaired for question in self.questions)

    @property
    def lost(self) -> int:
        """How many answers do not stand in their context at all."""
        return sum(question.lost for question in self.questions)


def place_of(answer: str, context: str, said: int) -> int | None:
    """Where an answer stands in its context: as said, or else the nearest place; None if nowhere."""
    if said >= 0 and context[said : said + len(answer)] == answer:
        return said
    places, found = [], context.find(answer)
    while found >= 0:
        places.append(found)
        found = context.find(answer, found + 1)
    return min(places, key=lambda place: abs(place - said), default=None)


def read_books(files: dict[str, Path], encoding: str, answered: bool = True) -> tuple[Book, dict[str, Tensor]]:
    """The contexts and questions of files in SQuAD's JSON, which are held in memory unless the files are too large.

    A JSON document cannot be read in parts: the first of several processes parses a large file as a whole, once.

    Args:
        files: of each split, or one under an empty name.
        encoding: of the files.
        answered: whether the questions need answers.

    Returns:
        All of them, and the positions of each split's contexts.
    """
    large = is_large(files.values(), times=WINDOWS)
    parts, official, start = [], {}, 0
    for split, file in files.items():
        read = cache(partial(read_squad, file, encoding, answered, start))
        part = _stored(read, [state_of(file), encoding, f"{answered} {start}"]) if large else read()
        if split:
            official[split] = torch.arange(start, start + len(part.contexts))
        start += len(part.contexts)
        parts.append(part)
    book = Book(joined([part.contexts for part in parts]), joined([part.questions for part in parts]))
    return book, official


def _stored(read: Callable[[], Book], key: list[str]) -> Book:
    contexts = stored_rows(Repeatable(lambda: iter(read().contexts)), ["contexts", *key], made=str)
    questions = stored_rows(Repeatable(lambda: iter(read().questions)), ["questions", *key], made=_question_of)
    return Book(contexts, questions)


def _question_of(row: list[Any]) -> Question:
    """A question from the list of its attributes, as JSON has it."""
    return Question(*row)


def read_squad(path: Path, encoding: str, answered: bool = True, first: int = 0) -> Book:
    """The contexts and questions of a file in SQuAD's JSON.

    Rajpurkar et al. 2016, https://arxiv.org/abs/1606.05250; `is_impossible` as in SQuAD 2.0, Rajpurkar et al. 2018,
    https://arxiv.org/abs/1806.03822. A wrong `answer_start` is put right where the answer's text is found.

    Args:
        path: of the file.
        encoding: of the file.
        answered: whether the questions need answers.
        first: number of its first context.

    Raises:
        DataError: the file is empty, not text, not JSON, or not in that form; the message has the place.
    """
    contexts: list[str] = []
    questions: list[Question] = []
    for number, article in enumerate(_articles(path, encoding)):
        for place, paragraph in enumerate(_part(article, "paragraphs", list, f"{path}: data[{number}]")):
            where = f"{path}: data[{number}].paragraphs[{place}]"
            context = _part(paragraph, "context", str, where)
            for row, asked in enumerate(_part(paragraph, "qas", list, where)):
                questions.append(_question(asked, context, first + len(contexts), f"{where}.qas[{row}]", answered))
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


def _part(of: Any, key: str, kind: type, where: str) -> Any:
    value = of.get(key) if isinstance(of, dict) else None
    if not isinstance(value, kind):
        wanted = "a text" if kind is str else "a list"
        raise DataError(
            f'{where}: expected {wanted} "{key}", found {type(value).__name__ if value is not None else "none"}'
        )
    return value


def _question(asked: Any, context: str, number: int, where: str, answered: bool) -> Question:
    question = Question(_part(asked, "question", str, where), number, str(asked.get("id", "")))
    if not answered or asked.get("is_impossible"):
        return question
    answers = _part(asked, "answers", list, where)
    if not answers and "is_impossible" not in asked:
        raise DataError(f'{where}: no answers; a question without one is marked by "is_impossible": true')
    for number, answer in enumerate(answers):
        text = _part(answer, "text", str, f"{where}.answers[{number}]").strip()
        if not text:
            raise DataError(f"{where}.answers[{number}]: the answer's text is empty")
        said = answer.get("answer_start", -1)
        if not isinstance(said, int):
            raise DataError(f"{where}.answers[{number}]: expected a whole number as answer_start, found {said!r}")
        found = place_of(text, context, said)
        stripped = found is not None and context[max(said, 0) :].lstrip().startswith(text) and answer["text"] != text
        question.lost += found is None
        question.repaired += found is not None and found != said and not stripped
        question.answers.append(text)
        if found is not None and question.start is None:
            question.start, question.end = found, found + len(text)
    return question
