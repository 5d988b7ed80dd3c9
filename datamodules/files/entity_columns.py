"""The words and tags of a file of columns."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from datamodules.errors import DataError
from datamodules.files.entity_layout import FULL_STOPS, NUMBERED, Layout, cells_of, integer, is_comment
from datamodules.files.entity_tags import canonical, without_brackets

MAX_KNOWN = 50_000  # lines whose cells are kept: in a text most lines recur
CLOSING = FULL_STOPS | {*"\"'”’」』）)]"}  # belong to the sentence that ends


def read_words(
    lines: Iterable[str], path: Path, layout: Layout, tagged: bool
) -> Iterator[tuple[list[str], list[str], list[str]]]:
    """The words and tags of each sentence, and what was left out of it: `comment`, `blank` for a word, `range` for 3-4.

    Args:
        lines: lines of the file.
        path: the file, for messages.
        layout: which column is what.
        tagged: whether there have to be tags; without these all are O.

    Raises:
        DataError: a line has no tag, or one of no known scheme.
    """
    words: list[str] = []
    tags: list[str] = []
    left_out: list[str] = []
    known: dict[str, _Line] = {}
    is_new, header = _Beginnings(layout), bool(layout.names)
    for line_number, line in enumerate(chain(lines, [""]), start=1):
        if line not in known:
            if len(known) > MAX_KNOWN:
                known.clear()
            known[line] = _read(line, layout, tagged and not header, f"{path}:{line_number}")
        kind, text, tag, row = known[line]
        if header and kind not in ("end", "comment"):
            header = False
            known.pop(line)
            continue
        ends = kind == "end" if is_new.simple else kind != "comment" and is_new(row, text, tag)
        if ends and words:
            yield words, without_brackets(tags) if layout.scheme == "brackets" else tags, left_out
            words, tags, left_out = [], [], []
        if kind == "word":
            words.append(text)
            tags.append(tag)
        elif kind != "end":
            left_out.append(kind)


class _Line(NamedTuple):
    """What a line says: its kind is `word`, `end`, or what is left out: `comment`, `blank` or `range`."""

    kind: str
    text: str = ""
    tag: str = "O"
    row: Sequence[str] = ()


def _read(line: str, layout: Layout, tagged: bool, where: str) -> _Line:
    row = cells_of(line, layout.delimiter)
    if not row or row[0].startswith("-DOCSTART-"):
        return _Line("end")
    if is_comment(line, row, layout.width, layout.tag if tagged else None, layout.scheme):
        return _Line("comment")
    if len(row) != layout.width and not layout.varies:
        row = _fitted(row, line, layout)
    needed = max(layout.word, layout.sentence or 0, layout.restarts or 0)
    if len(row) <= (max(needed, layout.tag or 0, 1) if tagged else needed):
        expected = "a word and its tag" if tagged else f"a word in column {layout.word + 1}"
        raise DataError(f"{where}: expected {expected}, found only {' '.join(row)}")
    text = row[layout.word]
    cell = row[-1 if layout.tag is None else layout.tag] if tagged else "O"
    tag = canonical(cell, layout.scheme)
    if tag is None:
        raise DataError(
            f"{where}: the tag of {text} is {cell}; expected O, or B-, I-, M-, E- or S- and a type, such as B-person"
        )
    if not text:
        return _Line("end" if layout.blank_ends else "blank", text, tag, row)
    if layout.running is not None and layout.running < layout.word and not row[layout.running].isdecimal():
        return _Line("range", text, tag, row)
    return _Line("word", NUMBERED.sub(r"\1", text) if layout.numbered else text, tag, row)


class _Beginnings:
    """Tells from one row to the next whether a sentence begins."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.simple = layout.sentence is None and layout.restarts is None and not layout.cut
        self.group, self.number, self.stopped, self.inside = "", 0, False, False

    def __call__(self, row: Sequence[str], text: str, tag: str) -> bool:
        if self.simple or not row:
            return not row
        layout, new = self.layout, False
        if layout.sentence is not None and row[layout.sentence]:
            new, self.group = row[layout.sentence] != self.group, row[layout.sentence]
        elif layout.restarts is not None:
            before, self.number = self.number, integer(row[layout.restarts])
            new = self.number < before
        elif layout.cut:
            new = self.stopped and text not in CLOSING and not (self.inside and tag[0] in "IMEL")
            self.stopped = text in FULL_STOPS or (self.stopped and text in CLOSING)
            self.inside = tag != "O"
        return new


def _fitted(row: list[str], line: str, layout: Layout) -> list[str]:
    """A row of other than the usual number of cells: its word contains the delimiter, is blank, or has no features."""
    missing = layout.width - len(row)
    if missing < 0:
        end = layout.word - missing + 1
        return [*row[: layout.word], (layout.delimiter.strip() or " ").join(row[layout.word : end]).strip(), *row[end:]]
    if missing == 1 and line[:1] in (" ", "\t") and layout.word == 0 and canonical(row[-1], layout.scheme):
        return ["", *row]
    return [row[0], *[""] * missing, *row[1:]] if len(row) > 1 and layout.word == 0 else row
