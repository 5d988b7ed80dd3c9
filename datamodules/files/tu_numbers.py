"""The files of which TUDataset's layout consists: lines of numbers, or of labels that may be words."""

import codecs
import re
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.errors import DataError
from datamodules.files.paths import regular
from datamodules.files.splits import Note, listed
from datamodules.files.written_numbers import MARKS, is_number

Array = np.ndarray[Any, Any]
WORD_MARKS = {"", "?", "nan", "NaN"}  # of a missing label among words, where `None` may be a class
COMMENT = re.compile(r"[#%][ \t]+\S")  # a `#` alone may be a label, such as that of a chemical bond
COMMENT_LINES = re.compile(r"(?m)^[#%][ \t].*")


def _form(path: Path) -> tuple[str, str | None]:
    """A file's encoding, in which all bytes are text, and what separates its columns; None for blanks.

    Raises:
        DataError: it is empty.
    """
    with regular(path).open("rb") as file:
        head = file.read(1 << 16)
    if not head.strip():
        raise DataError(f"{path}: the file is empty")
    utf_16 = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = "utf-16" if utf_16 else "utf-8-sig" if head.startswith(codecs.BOM_UTF8) else "latin-1"
    sample = COMMENT_LINES.sub("", head.decode(encoding, errors="replace"))
    return encoding, next((sign for sign in ",;" if sign in sample), None)


def numbers_in(path: Path, dtype: Any) -> Array:
    """A file of numbers, separated by commas, semicolons or blanks, as a matrix.

    Raises:
        DataError: it is empty or contains something else; the message has the line.
    """
    encoding, delimiter = _form(path)
    try:
        return np.loadtxt(path, dtype=dtype, delimiter=delimiter, ndmin=2, encoding=encoding)
    except ValueError as error:
        width = None
        for line, text in enumerate(path.read_text(encoding, errors="replace").splitlines(), 1):
            cells = text.split("#")[0].split(delimiter)
            if not "".join(cells).strip():
                continue
            width = width or len(cells)
            try:
                [dtype(cell) for cell in cells]
            except ValueError:
                raise DataError(f"{path}:{line}: expected numbers, found {text.strip()}") from None
            if len(cells) != width:
                raise DataError(f"{path}:{line}: expected {width} numbers, found {len(cells)}") from None
        raise DataError(f"{path}: {error}") from None


def whole_numbers_in(path: Path) -> Array:
    """A file of whole numbers, which may be written as `1.0` or `1e0`, as a matrix.

    Raises:
        DataError: as `numbers_in`.
    """
    try:
        return numbers_in(path, int)
    except DataError:
        values = numbers_in(path, float)
    wrong = (values != np.floor(values)).any(1) | ~np.isfinite(values).all(1)
    if wrong.any():
        line = int(wrong.argmax())
        raise DataError(f"{path}:{line + 1}: expected whole numbers, found {', '.join(map(str, values[line]))}")
    return values.astype(np.int64)


def labels_in(path: Path, what: str, note: Note) -> list[Array]:
    """The columns of a file of labels: int64 where all are whole numbers, else texts, empty where one is missing.

    Args:
        path: the file.
        what: the labels are of: nodes, edges or graphs.
        note: reports missing labels, and a mixture of numbers and words.

    Raises:
        DataError: it is empty, not text, ragged, or has measured numbers.
    """
    encoding, delimiter = _form(path)
    try:
        values = np.loadtxt(path, dtype=np.int64, delimiter=delimiter, ndmin=2, encoding=encoding)
        return [column.copy() for column in values.T]
    except ValueError:  # words, or numbers in another form
        pass
    columns = []
    for index, cells in enumerate(_words(path, encoding, delimiter, what), 1):
        distinct = dict.fromkeys(cells)
        words = [cell for cell in distinct if not _is_number(cell) and cell not in MARKS]
        marks = [cell for cell in distinct if cell in (WORD_MARKS if words else MARKS)]
        measured = [] if words else [cell for cell in distinct if cell not in marks and not _label(cell)]
        if measured:
            place = "are no classes" if what == "graphs" else f"belong in NAME_{what[:-1]}_attributes.txt"
            line = cells.index(measured[0]) + 1
            raise DataError(f"{path}:{line}: expected labels, found {measured[0]}; measured numbers {place}")
        label = {cell: "" if cell in marks else _label(cell) or cell for cell in distinct}
        if marks:
            found = f"{sum(cell in marks for cell in cells)} of {len(cells)} labels are missing"
            note(f"{path}: column {index}: {found} ({listed([mark or 'empty' for mark in marks])})")
        if words and len(words) + len(marks) < len(distinct):
            note(f"{path}: column {index} has numbers and words ({listed(words)}); all of them are taken as words")
        names = np.array([label[cell] for cell in cells])
        columns.append(names if words or marks else names.astype(np.int64))
    return columns


def _words(path: Path, encoding: str, delimiter: str | None, what: str) -> list[list[str]]:
    """The cells of each column of a file of labels."""
    try:
        text = path.read_text("utf-8" if encoding == "latin-1" else encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not UTF-8 text; save the file in UTF-8") from None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    lines = [(number, line) for number, line in lines if not COMMENT.match(line)]
    rows = [[cell.strip().strip("\"'") for cell in line.split(delimiter)] for _, line in lines]
    if delimiter is None:  # blanks are part of a word, unless all lines have as many of them
        several = len({*map(len, rows)}) == 1 and (what != "graphs" or all(map(_is_number, rows[0])))
        rows = rows if several else [[line.strip().strip("\"'")] for _, line in lines]
    for (number, _), row in zip(lines, rows, strict=True):
        if len(row) != len(rows[0]):
            raise DataError(f"{path}:{number}: expected {len(rows[0])} labels, found {len(row)}")
    return [list(column) for column in zip(*rows, strict=True)]


def _is_number(cell: str) -> bool:
    return is_number(cell) and "_" not in cell  # Python reads `1_0` as 10


def _label(cell: str) -> str:
    """A label as it is compared: `1.0`, `01` and `1e0` are `1`; empty for a number that is not whole."""
    if not _is_number(cell):
        return cell
    number = float(cell)
    return str(int(number)) if number.is_integer() else ""
