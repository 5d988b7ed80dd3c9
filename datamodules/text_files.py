"""Texts and their labels from files: CSV, TSV, JSON lines, or plain text with an example on each line."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from datamodules.base import decoded
from datamodules.errors import DataError

SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".csv.gz", ".tsv.gz", ".txt.gz", ".jsonl.gz")
TEXT_COLUMNS = ("text", "sentence", "review", "content", "title", "question", "comment", "文本", "内容", "评论", "标题")
LABEL_COLUMNS = ("label", "target", "class", "category", "sentiment", "标签", "类别", "情感")
SPLIT_NAMES = {"train": ("train",), "val": ("val", "valid", "validation", "dev"), "test": ("test",)}
LONGEST_FIELD = 1 << 30  # characters; Python's csv stops at 131,072 by itself


@dataclass
class Table:
    """What a file holds, all of it as text.

    Args:
        path: of the file.
        names: of the columns; their positions, "0", "1", …, where the file has no names for them.
        rows: a cell a column.
        lines: where each row begins, from 1.
    """

    path: Path
    names: list[str]
    rows: list[list[str]]
    lines: list[int]

    def column(self, name: str) -> list[str]:
        """All cells of a column."""
        place = self.names.index(name)
        return [row[place] for row in self.rows]

    def called(self, chosen: str | int, option: str) -> str:
        """The name of the column that a name or position means.

        Raises:
            DataError: there is no such column.
        """
        if str(chosen) in self.names:
            return str(chosen)
        try:
            return self.names[int(chosen)]
        except (ValueError, IndexError):
            known = ", ".join(self.names)
            raise DataError(f"{option} {chosen}: {self.path} has no such column; it has {known}") from None


def read_file(path: Path, encoding: str) -> str:
    """The file's text; `.gz` is unpacked.

    Raises:
        DataError: it is empty, damaged, or not text in that encoding.
    """
    if path.is_dir():
        raise DataError(f"{path}: expected a file, found a folder")
    try:
        with pa.input_stream(str(path)) as stream:
            content = stream.read()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    text = decoded(content, encoding, path)
    if not text.strip():
        raise DataError(f"{path}: the file is empty")
    return text


def read_texts(path: Path, encoding: str, header: bool | None = None) -> Table:
    """Read a table of texts; the format follows from the name: JSON lines, CSV, or else columns parted by tabs.

    Args:
        path: the file.
        encoding: of the file.
        header: whether the first row names the columns; None to find out. JSON lines have names anyway.

    Raises:
        DataError: the file is empty, not text in that encoding, ragged, or not JSON (with the line).
    """
    text = read_file(path, encoding)
    name = path.name.removesuffix(".gz")
    if name.endswith((".jsonl", ".json")):
        return _json_lines(text, path)
    rows = _csv_rows(text, path, ",") if name.endswith(".csv") else _tab_rows(text, path)
    width = len(rows[0][1])
    if header is None:
        header = has_header([row for _, row in rows])
    names = [cell.strip() for cell in rows[0][1]] if header else [str(number) for number in range(width)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}:1: two columns are called {twice}")
    if header:
        rows = rows[1:]
    if not rows:
        raise DataError(f"{path}: a header and no rows")
    return Table(path, names, [row for _, row in rows], [line for line, _ in rows])


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns: by usual names, or by short words that are never found below.

    The label of a first example is a number, or found again among the other examples.
    """
    first = [cell.strip() for cell in rows[0]]
    if any(cell.lower() in TEXT_COLUMNS + LABEL_COLUMNS for cell in first):
        return True
    if any(not cell or len(cell) > 40 or _is_number(cell) for cell in first):
        return False
    below = [{row[place].strip() for row in rows[1:]} for place in range(len(first))]
    return len(first) > 1 and not any(cell in cells for cell, cells in zip(first, below, strict=True))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _csv_rows(text: str, path: Path, delimiter: str) -> list[tuple[int, list[str]]]:
    first = text.lstrip().split("\n", 1)[0]
    if delimiter == "," and first.count(";") > 0 == first.count(","):
        delimiter = ";"
    csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, list[str]]] = []
    line = 1
    try:
        for row in reader:
            if row:
                rows.append((line, row))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}:{line}: not CSV ({error}); a quote within a quoted field is doubled") from None
    return _even(rows, path)


def _tab_rows(text: str, path: Path) -> list[tuple[int, list[str]]]:
    """Rows of a file with tabs, in which a quote is mostly a quote; a spreadsheet's quoted fields are read, too."""
    lines = text.replace("\r\n", "\n").split("\n")
    plain = [(number, line.split("\t")) for number, line in enumerate(lines, start=1) if line.strip()]
    if '"' in text:
        try:
            rows = _csv_rows(text, path, "\t")
        except DataError:
            return _even(plain, path)
        if not any("\t" in cell for _, row in rows for cell in row):  # a lone quote would have swallowed whole rows
            return rows
    return _even(plain, path)


def _even(rows: list[tuple[int, list[str]]], path: Path) -> list[tuple[int, list[str]]]:
    width = len(rows[0][1])
    for line, row in rows:
        if len(row) != width:
            raise DataError(f"{path}:{line}: expected {width} fields as in the first line, found {len(row)}")
    return rows


def _json_lines(text: str, path: Path) -> Table:
    rows: list[list[str]] = []
    lines: list[int] = []
    names: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{where}: not JSON ({error.msg}, column {error.colno}); expected an object a line"
            ) from None
        if not isinstance(row, dict):
            raise DataError(f'{where}: expected an object such as {{"text": …, "label": …}}, found {line.strip()[:40]}')
        names = names or list(row)
        missing = [name for name in names if name not in row]
        if missing:
            raise DataError(f"{where}: has no {missing[0]}, as the first line has; it has {', '.join(row)}")
        rows.append([_cell(row[name]) for name in names])
        lines.append(number)
    return Table(path, names, rows, lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def columns_of(table: Table, text: str | int | None, target: str | int | None) -> tuple[str, str]:
    """The names of the columns with the texts and with the labels.

    Args:
        table: that has them.
        text: name or position; None to find out.
        target: the same.

    Raises:
        DataError: there is no such column, or it cannot be found out.
    """
    text_name = None if text is None else table.called(text, "--data.text")
    target_name = None if target is None else table.called(target, "--data.target")
    if text_name is not None and text_name == target_name:
        raise DataError(f"--data.text {text} and --data.target {target} are the same column of {table.path}")
    if len(table.names) < 2:
        raise DataError(f"{table.path}: expected a column of texts and one of labels, found only {table.names[0]}")
    text_name = text_name or _usual(table, TEXT_COLUMNS, but=target_name)
    target_name = target_name or _usual(table, LABEL_COLUMNS, but=text_name)
    if len(table.names) == 2:
        _, many = sorted(table.names, key=lambda name: len(set(table.column(name))))  # labels recur, texts hardly do
        text_name = text_name or next((name for name in table.names if target_name not in (None, name)), many)
        target_name = target_name or next(name for name in table.names if name != text_name)
    if text_name is None or target_name is None:
        option = "--data.text" if text_name is None else "--data.target"
        raise DataError(f"{table.path}: which column? Give {option}; there are {', '.join(table.names)}")
    return text_name, target_name


def _usual(table: Table, usual: Sequence[str], but: str | None) -> str | None:
    found = [name for name in table.names if name.lower() in usual and name != but]
    return found[0] if len(found) == 1 else None


def read_lines(path: Path, encoding: str) -> list[str]:
    """The lines of a file that are not empty.

    Raises:
        DataError: there are none, or it is not text in that encoding.
    """
    lines = (line.strip() for line in read_file(path, encoding).split("\n"))
    return [line for line in lines if line]


def split_files(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """The files of a folder whose names begin with train, val (valid, dev) and test.

    Raises:
        DataError: there is none for train, or two for one split.
    """
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        stem = file.name.split(".")[0].lower()
        for split, names in SPLIT_NAMES.items():
            if file.name.endswith(tuple(suffixes)) and any(part in names for part in stem.replace("-", "_").split("_")):
                if split in files:
                    raise DataError(f"{folder}: both {files[split].name} and {file.name} seem to be the {split} split")
                files[split] = file
    if "train" not in files:
        raise DataError(f"{folder}: expected train, val (or dev) and test files ({', '.join(suffixes)}) in it")
    return files
