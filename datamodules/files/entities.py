"""Sentences with named entities, read from files in any of the usual formats."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from datamodules.errors import DataError
from datamodules.files.entity_columns import read_words
from datamodules.files.entity_layout import COLUMN_SUFFIXES, Layout, infer_layout, is_columns
from datamodules.files.text_files import json_lines, lines_of
from datamodules.storage.streaming import Repeatable

Unit = Literal["word", "character"]

CJK = "\u2e80-\u303f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"  # and punctuation
_WORD = re.compile(rf"[{CJK}]|\d+|[^\W\d_{CJK}]+|\S")
_IS_CJK = re.compile(rf"[{CJK}]")
BEGINS, ENDS = "BSUW", "ESLUW"  # in BIO, BIOES, BMES, BMEWO and BILOU


class Entity(NamedTuple):
    """A named entity in a text.

    Args:
        start: position of its first character.
        end: position after its last character.
        type: entity type.
    """

    start: int
    end: int
    type: str


@dataclass
class Sentence:
    """A text, its words and its entities.

    Args:
        text: the sentence.
        words: start and end of each word that has a label; empty if the file does not cut the text into words.
        entities: entities from left to right, which do not overlap.
        faults: what was left out or changed: `overlap` for each other entity that overlaps a longer one, …
        name: the publisher's identifier.
    """

    text: str
    words: list[tuple[int, int]] = field(default_factory=list)
    entities: list[Entity] = field(default_factory=list)
    faults: Sequence[str] = ()
    name: str = ""


def sentence_from_json(row: list[Any], unit: Unit | None = None) -> Sentence:
    """A sentence from the list of its attributes.

    Args:
        row: the attributes.
        unit: unit by which to cut the text if the file does not cut it.
    """
    text, words, entities, faults, name = row
    spans = [(start, end) for start, end in words]
    if unit and not spans:
        spans = cut_words(text, unit)
    return Sentence(text, spans, [Entity(*entity) for entity in entities], faults, name)


def cut_words(text: str, unit: Unit) -> list[tuple[int, int]]:
    """Start and end of each word; a Chinese character is always a word of its own.

    Args:
        text: text to cut.
        unit: what else is a word: `word`, a run of letters, a run of digits, or a sign; `character`, each character.
    """
    if unit == "character":
        return [(position, position + 1) for position, sign in enumerate(text) if not sign.isspace()]
    return [match.span() for match in _WORD.finditer(text)]


def infer_unit(sentences: Iterable[Sentence]) -> Unit:
    """The unit of these sentences: as their file cuts them, or characters if most of these are Chinese."""
    if any(sentence.words for sentence in sentences):
        has_words = any(end - start > 1 for sentence in sentences for start, end in sentence.words)
        return "word" if has_words else "character"
    signs = (bool(_IS_CJK.match(sign)) for sentence in sentences for sign in sentence.text if sign.isalnum())
    counts = Counter(signs)
    return "character" if counts[True] > counts[False] else "word"


def join_words(words: Sequence[str], spaces: bool) -> tuple[str, list[tuple[int, int]]]:
    """The text of the words, and the start and end of each in it.

    Args:
        words: words from left to right.
        spaces: whether to put a space between two words, unless one of them is Chinese there.
    """
    text, spans = "", []
    for word in words:
        if spaces and text and not _IS_CJK.match(text[-1]) and not _IS_CJK.match(word[0]):
            text += " "
        spans.append((len(text), len(text) + len(word)))
        text += word
    return text, spans


def entities_of(tags: Sequence[str], words: Sequence[tuple[int, int]]) -> list[Entity]:
    """The entities of tags in any of the schemes.

    A tag that continues an entity where none of its type is open begins one, as in conlleval.

    Args:
        tags: O, or a letter, a dash and a type: B-person.
        words: start and end of each word.
    """
    entities: list[Entity] = []
    is_open = False
    for tag, (start, end) in zip(tags, words, strict=True):
        letter, _, entity_type = tag.partition("-")
        if letter == "O":
            is_open = False
            continue
        if is_open and letter not in BEGINS and entities[-1].type == entity_type:
            entities[-1] = entities[-1]._replace(end=end)
        else:
            entities.append(Entity(start, end, entity_type))
        is_open = letter not in ENDS
    return entities


def read_columns(
    lines: Iterable[str], path: Path, tagged: bool = True, layout: Layout | None = None
) -> Iterator[Sentence]:
    """Sentences of a file with a word and its tag on each line. Tags may be in BIO, BIOES, BMES or BILOU.

    Args:
        lines: lines of the file, which are iterated several times.
        path: the file, for messages.
        tagged: whether there are tags; otherwise these are ignored.
        layout: which column is what; inferred by default.

    Raises:
        DataError: a line has no tag, or one of no known scheme.
    """
    layout = layout or infer_layout(lines, path, tagged)[0]
    spaces = layout.spaces
    if spaces is None:
        spaces = any(len(word) > 1 for words, _, _ in read_words(lines, path, layout, tagged) for word in words)
    for words, tags, left_out in read_words(lines, path, layout, tagged):
        text, spans = join_words(words, spaces)
        yield Sentence(text, spans, entities_of(tags, spans) if tagged else [], tuple(left_out))


def _spans(row: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The spans of a JSON row as dictionaries with start, end and type (and text); inclusive ends become exclusive."""
    found = next((row[name] for name in ("entities", "spans", "labels", "label") if name in row), None)
    if isinstance(found, dict):  # {"person": {"Anna": [[0, 3]]}}, as CLUENER has it
        return [
            {"start": start, "end": end + 1, "type": entity_type, "text": name}
            for entity_type, names in found.items()
            for name, positions in names.items()
            for start, end in positions
        ]
    if not isinstance(found, list):
        return None
    spans = []
    for span in found:
        if isinstance(span, list):
            start, end, entity_type = span
            span = {"start": start, "end": end, "type": entity_type}
        span = {**span, "type": span.get("type", span.get("label"))}
        length = len(span.get("text", ""))
        if length and span["end"] - span["start"] == length - 1:
            span["end"] += 1
        spans.append(span)
    return spans


def read_json_lines(lines: Iterable[str], path: Path, tagged: bool = True) -> Iterator[Sentence]:
    """Sentences of a file with a JSON object on each line: a text, and spans with a start, an end and a type.

    `{"text": "Anna lives in Ulm", "entities": [{"start": 0, "end": 4, "type": "person"}]}`; a span may also be a list
    `[0, 4, "person"]`. Ends are exclusive, unless a span's own `text` shows that they are inclusive; CLUENER's
    `{"label": {"person": {"Anna": [[0, 3]]}}}` is read, too.

    Args:
        lines: lines of the file.
        path: the file, for messages.
        tagged: whether spans are required.

    Raises:
        DataError: a line is not such an object, or a span is not in its text.
    """
    for line_number, line, row in json_lines(lines, path):
        where = f"{path}:{line_number}"
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            raise DataError(f'{where}: expected an object with a "text", found {line.strip()[:60]}')
        entities = _checked_spans(row, where) if tagged else []
        kept: list[Entity] = []
        for entity in sorted(entities, key=lambda entity: entity.start - entity.end):  # the longest first
            if all(entity.end <= other.start or entity.start >= other.end for other in kept):
                kept.append(entity)
        yield Sentence(row["text"], [], sorted(kept), ("overlap",) * (len(set(entities)) - len(kept)))


def _checked_spans(row: dict[str, Any], where: str) -> list[Entity]:
    try:
        spans = _spans(row)
        if spans is None:
            raise DataError(f'{where}: expected a list "entities" of spans, found {", ".join(row)}')
        entities = [Entity(int(span["start"]), int(span["end"]), str(span["type"])) for span in spans]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{where}: a span needs a start, an end and a type") from None
    for entity, span in zip(entities, spans, strict=True):
        found = row["text"][max(entity.start, 0) : entity.end]
        if not 0 <= entity.start < entity.end <= len(row["text"]) or found != span.get("text", found):
            named = f" ({span['text']})" if span.get("text") else ""
            raise DataError(
                f"{where}: the span {entity.start}-{entity.end}{named} is not in the text, "
                f"which has {len(row['text'])} characters"
            )
    return entities


def read_sentences(path: Path, encoding: str, tagged: bool = True, layout: Layout | None = None) -> Iterator[Sentence]:
    """The sentences of a file.

    Args:
        path: JSON lines, or columns; without tags also plain text with a sentence on each line. May be packed as .gz.
        encoding: encoding of the file.
        tagged: whether entities are required.
        layout: which column is what, of a file of columns.

    Raises:
        DataError: the file is empty, not text, or not in that format.
    """
    lines = Repeatable(lambda: lines_of(path, encoding, newline=None))
    if layout is not None:
        return read_columns(lines, path, tagged, layout)
    if _is_json(lines):
        return read_json_lines(lines, path, tagged)
    return (Sentence(line.strip()) for line in lines if line.strip())


def infer_format(
    path: Path, encoding: str, tagged: bool = True, learned: Layout | None = None
) -> tuple[Layout | None, list[str]]:
    """Which column of a file is what, and what is unusual about it; no columns if it is JSON or plain text.

    Args:
        path: the file.
        encoding: encoding of the file.
        tagged: whether there have to be tags.
        learned: what training found, for prediction.

    Raises:
        DataError: the file is empty, or not text.
    """
    lines = Repeatable(lambda: lines_of(path, encoding, newline=None))
    if _is_json(lines):
        return None, []
    layout, notes = infer_layout(lines, path, tagged, learned)
    if tagged or path.name.removesuffix(".gz").endswith(COLUMN_SUFFIXES):
        return layout, notes
    if is_columns(lines, layout, learned):
        return layout, [*notes, f"read as a word on each line, in column {layout.word + 1}"]
    return None, []


def _is_json(lines: Iterable[str]) -> bool:
    return next(line for line in lines if line.strip()).lstrip().startswith(("{", "[{"))
