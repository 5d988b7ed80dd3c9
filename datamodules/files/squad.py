"""Questions about texts, read from JSON in SQuAD's form, in Hugging Face's flat one, and in CMRC's."""

import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from torch import Tensor

from datamodules.errors import DataError
from datamodules.files.encoding import decoded, json_value
from datamodules.files.text_files import byte_stream, encoding_of, json_lines
from datamodules.storage.stored_rows import Rows, concatenated, split_indices, stored_rows
from datamodules.storage.streaming import Repeatable, file_state, is_large

CONTEXTS = ("context", "context_text", "passage")
QUESTIONS = ("question", "query_text", "query")
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
        guessed: number of answers without a position that occur several times in the context.
    """

    text: str
    context: int
    name: str = ""
    answers: list[str] = field(default_factory=list)
    start: int | None = None
    end: int | None = None
    corrected: int = 0
    lost: int = 0
    guessed: int = 0

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

    @property
    def guessed(self) -> int:
        """Number of answers without a position that occur several times in their context."""
        return sum(question.guessed for question in self.questions)

    @property
    def faults(self) -> list[str]:
        """What is unusual about the answers, with counts."""
        counts = {
            "are not at their answer_start; corrected": self.corrected,
            "have no answer_start and occur several times; the first is taken": self.guessed,
            "are not in their context": self.lost,
        }
        return [f"{count} answers {text}" for text, count in counts.items() if count]


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
    """The contexts and questions of files of JSON, which are kept in memory unless the files are too large.

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
    """The contexts and questions of a file in SQuAD's JSON, or with the context beside each question.

    Rajpurkar et al. 2016, https://arxiv.org/abs/1606.05250; `is_impossible` as in SQuAD 2.0, Rajpurkar et al. 2018,
    https://arxiv.org/abs/1806.03822. A wrong `answer_start` is corrected if the answer's text is found. It may be a
    document or JSON lines, of articles, of paragraphs with `qas`, or of objects with a `context`, a `question` and
    `answers`; CMRC's `context_text` and `query_text` are read, too.

    Args:
        path: the file.
        encoding: encoding of the file.
        answered: whether the questions need answers.
        first: index of its first context.

    Raises:
        DataError: the file is empty, not text, not JSON, or not in that form; the message has the position.
    """
    contexts: list[str] = []
    known: dict[str, int] = {}  # contexts beside their questions: equal ones are one
    questions: list[Question] = []
    for where, record in _records(path, encoding):
        if _value(record, QUESTIONS) is not None:
            context = _text(record, CONTEXTS, where)
            if context not in known:
                known[context] = len(contexts)
                contexts.append(context)
            questions.append(_question(record, context, first + known[context], where, answered))
            continue
        for place, paragraph in _paragraphs(record, where):
            context = _text(paragraph, CONTEXTS, place)
            for index, row in enumerate(_part(paragraph, "qas", list, place)):
                questions.append(_question(row, context, first + len(contexts), f"{place}.qas[{index}]", answered))
            contexts.append(context)
    return Book(contexts, questions)


def _paragraphs(record: Any, where: str) -> Iterator[tuple[str, Any]]:
    if isinstance(record, dict) and "paragraphs" not in record and "qas" in record:
        yield where, record
        return
    for index, paragraph in enumerate(_part(record, "paragraphs", list, where)):
        yield f"{where}.paragraphs[{index}]", paragraph


def _records(path: Path, encoding: str) -> Iterator[tuple[str, Any]]:
    """The articles, paragraphs or questions of a file, each with where it is."""
    with byte_stream(path) as stream:
        text = decoded(stream.read(), encoding_of(path, encoding), path)
    if not text.strip():
        raise DataError(f"{path}: the file is empty")
    try:
        document = json_value(text)
    except json.JSONDecodeError as error:
        if not _is_json_lines(text):
            raise DataError(f"{path}:{error.lineno}: not JSON ({error.msg}, column {error.colno})") from None
        lines = json_lines(io.StringIO(text), path)
        return (
            (f"{path}:{n}", row) for n, _, row in lines if not (isinstance(row, dict) and "header" in row)
        )  # MRQA's
    rows = _rows(document)
    if rows is None:
        raise DataError(
            f'{path}: expected SQuAD\'s form, {{"data": [{{"paragraphs": [{{"context": …, "qas": […]}}]}}]}}, '
            f'or {{"context": …, "question": …, "answers": …}} in a list or on each line'
        )
    return ((f"{path}: data[{index}]", row) for index, row in enumerate(rows))


def _is_json_lines(text: str) -> bool:
    first = next(line for line in io.StringIO(text) if line.strip())
    try:
        return isinstance(json_value(first), dict)
    except json.JSONDecodeError:
        return False


def _rows(document: Any) -> list[Any] | None:
    """The records of a document."""
    if isinstance(document, dict):
        if "paragraphs" in document or "qas" in document or isinstance(_value(document, QUESTIONS), str):
            return [document]
        columns = [*document.values()]
        if all(isinstance(column, list) for column in columns) and isinstance(_value(document, QUESTIONS), list):
            return [dict(zip(document, row, strict=False)) for row in zip(*columns, strict=False)]
        document = document.get("data", document.get("rows"))
    if not isinstance(document, list):
        return None
    return [row["row"] if isinstance(row, dict) and isinstance(row.get("row"), dict) else row for row in document]


def _value(row: Any, keys: Sequence[str]) -> Any:
    return next((row[key] for key in keys if key in row), None) if isinstance(row, dict) else None


def _text(row: Any, keys: Sequence[str], where: str) -> str:
    key = next((key for key in keys if isinstance(row, dict) and key in row), keys[0])
    text: str = _part(row, key, str, where)
    return text


def _part(row: Any, key: str, type_: type, where: str) -> Any:
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, type_):
        expected = "a text" if type_ is str else "a list"
        raise DataError(
            f'{where}: expected {expected} "{key}", found {type(value).__name__ if value is not None else "none"}'
        )
    return value


def _question(row: Any, context: str, index: int, where: str, answered: bool) -> Question:
    name = _value(row, ("id", "query_id", "qid", "question_id", "_id"))
    question = Question(_text(row, QUESTIONS, where), index, "" if name is None else str(name))
    if not answered or str(row.get("is_impossible", False)).lower() in ("true", "1", "1.0"):
        return question
    answers = _answers(row, where)
    if not answers and "is_impossible" not in row and not isinstance(row.get("answers"), dict):
        raise DataError(f'{where}: no answers; a question without one is marked by "is_impossible": true')
    for place, written, start in answers:
        text = written.strip()
        if not text:
            raise DataError(f"{place}: the answer's text is empty")
        found = find_answer(text, context, -1 if start is None else start)
        stripped = found is not None and context[max(start or 0, 0) :].lstrip().startswith(text) and written != text
        question.lost += found is None
        if start is None:
            question.guessed += context.count(text) > 1
        else:
            question.corrected += found is not None and found != start and not stripped
        question.answers.append(text)
        if found is not None and question.start is None:
            question.start, question.end = found, found + len(text)
    return question


def _answers(row: dict[str, Any], where: str) -> list[tuple[str, str, int | None]]:
    """Where each answer is in the file, its text, and its position in the context, if that is stated.

    A list of dictionaries, as in SQuAD, of texts, as in CMRC; or a dictionary of lists, as in Hugging Face's files.
    """
    answers = row["answer"] if "answers" not in row and "answer" in row else row.get("answers")
    if isinstance(answers, dict) and isinstance(answers.get("text"), list):
        texts, starts = answers["text"], answers.get("answer_start", [None] * len(answers["text"]))
        if not isinstance(starts, list) or len(starts) != len(texts):
            raise DataError(f"{where}: expected as many answer_start as texts of answers, {len(texts)}")
        answers = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    elif isinstance(answers, str):
        answers = [{"text": answers, "answer_start": row.get("answer_start")}]
    elif isinstance(answers, dict):
        answers = [answers]
    found = []
    for index, answer in enumerate(_part({"answers": answers}, "answers", list, where)):
        place = f"{where}.answers[{index}]"
        answer = {"text": answer} if isinstance(answer, str) else answer
        found.append((place, _text(answer, ("text",), place), _position(answer.get("answer_start"), place)))
    return found


def _position(start: Any, where: str) -> int | None:
    """An answer's position: 18, 18.0 or "18"."""
    if start is None:
        return None
    try:
        position = int(float(start))
    except (TypeError, ValueError, OverflowError):
        position = None
    if position is None or isinstance(start, bool) or position != float(start):
        raise DataError(f"{where}: expected an integer as answer_start, found {start!r}")
    return position
