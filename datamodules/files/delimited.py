"""Tables of texts: CSV, TSV, JSON lines, or plain text with an example on each line."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import DataError
from datamodules.files.layout import SAMPLE_ROWS, Layout, cells_of, layout_of
from datamodules.files.splits import Note
from datamodules.files.text_files import WORKBOOKS, is_csv, json_lines, lines_of, stripped_lines

SUFFIXES = (".csv", ".tsv", ".txt", *WORKBOOKS, ".jsonl", ".csv.gz", ".tsv.gz", ".txt.gz", ".jsonl.gz")
TEXT_COLUMNS = ("text", "sentence", "review", "content", "title", "question", "comment", "文本", "内容", "评论", "标题")
LABEL_COLUMNS = ("label", "target", "class", "category", "sentiment", "标签", "类别", "情感")
CSV_DELIMITERS = ",;\t|"
FASTTEXT = "__label__"
LABELLED = re.compile(rf"({FASTTEXT}\S+|[+-]?\d{{1,2}}|[A-Z]{{2,}}(?::\w+)?)[ ,]+(\S.*)")  # SST's, TREC's
SAMPLE = 1000  # rows of a large file from which its columns are inferred

Row = tuple[int, list[str]]  # the line, from 1, in which it begins, and a cell for each column


@dataclass
class Table:
    """The content of a file, all of it as text.

    Args:
        path: the file.
        names: column names; the column indices, "0", "1", …, where the file has no header.
        rows: all rows; the first ones of a large file.
        reread: reads all rows of a large file from its beginning.
        form: how it is laid out, in words.
        files: of each row, where it has one of its own; then `path` is their folder.
        lines: of each row, where the rows themselves are not in memory.
    """

    path: Path
    names: list[str]
    rows: list[Row]
    reread: Callable[[], Iterator[Row]] | None = None
    form: str = "lines"
    files: Sequence[Path] = ()
    lines: NDArray[np.int64] | None = None

    @property
    def paths(self) -> Sequence[Path]:
        """All files that it is read from."""
        return self.files or [self.path]

    def origin(self, row: int) -> str:
        """The file and line of a row."""
        return next(islice(self.origins(), row, None))

    def origins(self) -> Iterator[str]:
        """The file and line of every row."""
        if self.files:
            return (f"{file.parent.name}/{file.name}" for file in self.files)
        lines = (line for line, _ in self) if self.lines is None else self.lines
        return (f"{self.path.name}:{line}" for line in lines)

    def __iter__(self) -> Iterator[Row]:
        return self.reread() if self.reread else iter(self.rows)

    def column(self, name: str) -> list[str]:
        """All cells of a column."""
        index = self.names.index(name)
        return [row[index] for _, row in self]

    def num_distinct(self, name: str) -> int:
        """Number of distinct cells in a column, among the rows in memory."""
        index = self.names.index(name)
        return len({row[index] for _, row in self.rows})

    def column_name(self, column: str | int, option: str) -> str:
        """The name of a column.

        Args:
            column: its name or index.
            option: the option that it was given by, for the message.

        Raises:
            DataError: there is no such column.
        """
        if str(column) in self.names:
            return str(column)
        try:
            return self.names[int(column)]
        except (ValueError, IndexError):
            known = ", ".join(self.names)
            raise DataError(f"{option} {column}: {self.path} has no such column; it has {known}") from None


def read_table(
    path: Path,
    encoding: str,
    header: bool | None = None,
    large: bool = False,
    named: Iterable[object] = (),
    note: Note = lambda text: None,
    quoted: bool | None = None,
) -> Table:
    """Read a table of texts; the format follows from the suffix: JSON lines, CSV, or else tab-separated columns.

    Args:
        path: the file.
        encoding: encoding of the file.
        header: whether the first row contains the column names; decided from the rows by default. JSON lines have
            names anyway.
        large: keep only the first rows in memory, and read the others as they are needed.
        named: names of columns that are expected; one of them in the first row makes it a header.
        note: reports what is left out.
        quoted: whether cells may be quoted; by default those of CSV, and those of others if that reads all of it.

    Raises:
        DataError: the file is empty, not text in that encoding, ragged, or not JSON (with the line).
    """
    name = path.name.lower().removesuffix(".gz")
    if name.endswith((".jsonl", ".json")):
        rows = list(islice(_json_rows(path, encoding), SAMPLE + 1 if large else None))
        reread = (lambda: islice(_json_rows(path, encoding), 1, None)) if large else None
        return Table(path, rows[0][1], rows[1:], reread, "JSON lines")
    if (
        quoted is None
        and not is_csv(path)
        and not name.endswith(".tsv")
        and (table := read_labelled_lines(path, encoding, large, note))
    ):
        return table
    quoted = is_csv(path) or _is_quoted(path, encoding) if quoted is None else quoted
    sample = "".join(islice(lines_of(path, encoding, newline=""), SAMPLE_ROWS))
    layout = layout_of(sample, path, header, CSV_DELIMITERS if is_csv(path) else "\t", named, quoted)
    reader = _Reader(path, encoding, layout, quoted)
    kept = list(islice(reader, SAMPLE if large else None))
    if not kept:
        raise DataError(f"{path}: a header and no rows")
    copies = [f"{reader.copies} later copies of the header"] * bool(reader.copies)
    if told := copies + layout.told():
        note(f"{path}: left out {' and '.join(told)}")
    names = [layout.names[column] for column in layout.kept]
    return Table(path, names, kept, reader.__iter__ if large else None, layout.form)


class _Reader:
    """The rows of a delimited file, without its header, copies of that, and columns that are left out."""

    def __init__(self, path: Path, encoding: str, layout: Layout, quoted: bool) -> None:
        self.path = path
        self.encoding = encoding
        self.layout = layout
        self.quoted = quoted
        self.copies = 0

    def __iter__(self) -> Iterator[Row]:
        layout, width, self.copies = self.layout, len(self.layout.names), 0
        kept = layout.kept if layout.left_out else None
        lines = lines_of(self.path, self.encoding, newline="" if self.quoted else "\n")
        for line_number, row in cells_of(lines, layout.delimiter, self.quoted, self.path):
            if line_number <= layout.skipped:
                continue
            if len(row) != width:
                where = f"{self.path}:{line_number}"
                raise DataError(f"{where}: expected {width} fields as in the first line, found {len(row)}")
            if layout.header and [cell.strip() for cell in row] == layout.names:
                self.copies += 1
                continue
            yield line_number, row if kept is None else [row[column] for column in kept]


def read_lines(
    path: Path, encoding: str, large: bool = False, header: str = "", note: Note = lambda text: None
) -> Table:
    """The lines of a file that are not blank, as a table of one column; otherwise as `read_table`.

    Args:
        path: the file.
        encoding: encoding of the file.
        large: as for `read_table`.
        header: the column's name, which is left out where it is the first line.
        note: reports that.
    """
    first = next(line for _, line in stripped_lines(path, encoding))
    skipped = int(first == header)
    if skipped:
        note(f"{path}: left out the first line, {first}: it names the column")

    def read() -> Iterator[Row]:
        rows = ((line_number, [line]) for line_number, line in stripped_lines(path, encoding))
        return islice(rows, skipped, None)

    return Table(path, ["0"], list(islice(read(), SAMPLE if large else None)), read if large else None)


def read_labelled_lines(path: Path, encoding: str, large: bool, note: Note) -> Table | None:
    """Lines of a label, a blank and a text, as SST, TREC and fastText have them; None where a line is none.

    Args:
        path: the file.
        encoding: encoding of the file.
        large: as for `read_table`.
        note: reports that lines are read so.

    Raises:
        DataError: a line beyond the first ones is no such line.
    """

    def read() -> Iterator[Row]:
        for line_number, line in stripped_lines(path, encoding):
            found = LABELLED.match(line)
            if not found:
                raise DataError(f"{path}:{line_number}: expected a label, a blank and a text, found {line[:40]}")
            if found[2].startswith(FASTTEXT):
                raise DataError(f"{path}:{line_number}: has several labels, expected one: {line[:40]}")
            yield line_number, [found[1].removeprefix(FASTTEXT), found[2]]

    sample = [line for _, line in islice(stripped_lines(path, encoding), SAMPLE)]
    found = [LABELLED.match(line) for line in sample]
    labels = {match[1] for match in found if match}
    if not all(found) or any("\t" in line for line in sample) or not 1 < len(labels) <= max(2, len(sample) // 3):
        return None
    note(f"{path}: each line is read as a label, a blank and a text")
    return Table(path, ["0", "1"], list(islice(read(), SAMPLE if large else None)), read if large else None)


def _is_quoted(path: Path, encoding: str) -> bool:
    """Whether a tab-separated file has a spreadsheet's quoted fields; elsewhere a quote is mostly a quote."""
    if not any('"' in line for line in lines_of(path, encoding)):
        return False
    try:  # a lone quote would consume several rows
        rows = cells_of(lines_of(path, encoding, newline=""), "\t", path=path)
        return not any("\t" in cell for _, row in rows for cell in row)
    except DataError:
        return False


def _json_rows(path: Path, encoding: str) -> Iterator[Row]:
    """A row of names, and one for each object."""
    names: list[str] = []
    for line_number, line, row in json_lines(lines_of(path, encoding), path):
        where = f"{path}:{line_number}"
        if not isinstance(row, dict):
            raise DataError(f'{where}: expected an object such as {{"text": …, "label": …}}, found {line.strip()[:40]}')
        if not names:
            names = list(row)
            yield line_number, names
        missing = [name for name in names if name not in row]
        if missing:
            raise DataError(f"{where}: has no {missing[0]}, as the first line has; it has {', '.join(row)}")
        yield line_number, [_cell(row[name]) for name in names]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def text_and_label_columns(table: Table, text: str | int | None, target: str | int | None) -> tuple[str, str]:
    """The names of the columns of texts and of labels.

    Args:
        table: the table.
        text: name or index; inferred by default.
        target: the same.

    Raises:
        DataError: there is no such column, or it cannot be inferred.
    """
    text_name = None if text is None else table.column_name(text, "--data.text")
    target_name = None if target is None else table.column_name(target, "--data.target")
    if text_name is not None and text_name == target_name:
        raise DataError(f"--data.text {text} and --data.target {target} are the same column of {table.path}")
    if len(table.names) < 2:
        raise DataError(f"{table.path}: expected a column of texts and one of labels, found only {table.names[0]}")
    text_name = text_name or _usual(table, TEXT_COLUMNS, other=target_name)
    target_name = target_name or _usual(table, LABEL_COLUMNS, other=text_name)
    if len(table.names) == 2:
        _, texts = sorted(table.names, key=table.num_distinct)  # labels recur, texts rarely
        text_name = text_name or next((name for name in table.names if target_name not in (None, name)), texts)
        target_name = target_name or next(name for name in table.names if name != text_name)
    if text_name is None or target_name is None:
        option = "--data.text" if text_name is None else "--data.target"
        raise DataError(f"{table.path}: which column? Give {option}; there are {', '.join(table.names)}")
    return text_name, target_name


def _usual(table: Table, usual: Sequence[str], other: str | None) -> str | None:
    found = [name for name in table.names if name.lower() in usual and name != other]
    return found[0] if len(found) == 1 else None
