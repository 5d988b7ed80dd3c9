"""Tables in CSV and Parquet files: how they are laid out is detected, numbers and missing values are recognised."""

import codecs
import csv
import io
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from datamodules.errors import DataError
from datamodules.files import json_rows, layout, number_columns, spreadsheets, text_files, written_numbers
from datamodules.files.encoding import decoded
from datamodules.files.json_rows import json_table
from datamodules.files.layout import BLANKS, SAMPLE_BYTES, Layout, cells_of, layout_of
from datamodules.files.number_columns import with_numbers
from datamodules.files.splits import Note
from datamodules.files.table_columns import is_numeric
from datamodules.files.text_files import (
    BLOCK,
    WORKBOOKS,
    byte_stream,
    encoding_of,
    lines_of,
    num_lines,
    shown_stream,
    stripped_lines,
)
from datamodules.files.written_numbers import MARKS, NUMBER_MARKS, Decimal, distinct
from datamodules.storage.fingerprint import hash_texts
from datamodules.storage.kept import Kept, code_of, kept, states_of

TABLE_FILES = (
    ".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz", ".jsonl", ".jsonl.gz", ".json", *WORKBOOKS,
    ".parquet", ".pq",
)  # fmt: skip
READER = code_of(json_rows, layout, number_columns, spreadsheets, text_files, written_numbers, sys.modules[__name__])
_FORM, _SOURCE = b"form", b"source"  # in a table's metadata
_LINE_END = re.compile(r"\r\n?|\n|\Z")
_BLANK_LINES = re.compile(r"\n{2,}")
_END = "end"
_BLANKS = re.compile(r"[^\S\n]+")


@dataclass(frozen=True)
class Reading:
    """How a table is to be read.

    Args:
        encoding: of a CSV file.
        header: whether its first row names the columns; None to decide that from the rows.
        named: names of columns that are expected; one of them in the first row makes it a header.
        texts: columns that are texts whatever is in them, since they were in training.
        decimal: the decimal sign; None to decide it from the columns.
        fitted: whether training has read its numbers, as `decimal` says where there were any to decide.
        note: reports what is left out, changed or guessed.
    """

    encoding: str = "utf-8"
    header: bool | None = None
    named: Iterable[object] = ()
    texts: frozenset[str] = field(default_factory=frozenset)
    decimal: Decimal | None = None
    fitted: bool = False
    note: Note = lambda text: None


def read_table(path: Path, reading: Reading) -> pa.Table:
    """Read a delimited file, JSON lines, the sheet of a workbook, or a Parquet file.

    Columns without a name are named by their index, "0", "1", …. Marks of missing values are null in columns of
    numbers; in a column of texts they are left as they are, see `without_marks`.

    Raises:
        DataError: the file is empty, not text, or ragged (with the line).
    """
    try:
        if path.name.endswith((".parquet", ".pq")):
            with byte_stream(path) as stream:
                table = pq.read_table(stream)
        elif _is_json(path):
            table = _read_json(path, reading)
        else:
            table = _read_delimited(path, reading)
    except (OSError, pa.ArrowInvalid, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    for name, type_ in zip(table.column_names, table.schema.types, strict=True):
        if pa.types.is_nested(type_):
            raise DataError(f"{path}: column {name} holds {type_}, expected numbers or text")
    return table


def kept_table(path: Path, reading: Reading) -> pa.Table:
    """As `read_table`, from what an earlier run has kept where the file is the same and is read in the same way."""
    notes: list[str] = []

    def made() -> Kept:
        table = read_table(path, replace(reading, note=notes.append))
        for index, field_ in enumerate(table.schema):  # in one piece each, so that later none is copied to be used
            table = table.set_column(index, field_, table[index].combine_chunks())
        size = pa.MockOutputStream()
        _write(table, size)
        content = np.empty(size.size(), np.uint8)
        _write(table, pa.FixedSizeBufferWriter(pa.py_buffer(content)))
        return Kept({"table": content}, notes)

    states = states_of([path], path.parent)
    settings = [reading.encoding, reading.header, [*reading.named], sorted(reading.texts)]
    key = ["table", states.digest, path, *settings, reading.decimal, reading.fitted, pa.__version__, READER]
    found = kept(made, key, states.size)
    for note in found.facts:
        reading.note(note)
    table = pa.ipc.open_stream(pa.py_buffer(found.arrays["table"])).read_all()
    return table.replace_schema_metadata({**(table.schema.metadata or {}), _SOURCE: hash_texts(map(str, key)).encode()})


def _write(table: pa.Table, sink: pa.NativeFile) -> None:
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)


def source_of(table: pa.Table) -> str | None:
    """What tells a table that `kept_table` has read from others, though they have the same columns."""
    source: bytes | None = (table.schema.metadata or {}).get(_SOURCE)
    return None if source is None else source.decode()


def _read_delimited(path: Path, reading: Reading) -> pa.Table:
    encoding = encoding_of(path, reading.encoding)
    layout = _layout(path, encoding, reading)
    copies, content = 0, None
    table = _parsed(path, encoding, layout, reading)
    if layout.header and len(table) and _may_repeat_its_header(table):
        content, copies = _without_copies(_text(path, encoding), layout)
        if copies:
            encoding, table = "utf-8", _parsed(path, "utf-8", layout, reading, content)

    def again(texts: frozenset[str]) -> pa.Table:
        as_texts = replace(reading, texts=reading.texts | texts)
        return _parsed(path, encoding, layout, as_texts, content if copies else None)

    table, left_out = _without_unnamed(table, layout)
    table, changed = with_numbers(table, path, layout.delimiter, reading.decimal, reading.texts, reading.fitted, again)
    told = [f"{copies} later copies of the header"] * bool(copies) + left_out
    for line in [f"left out {' and '.join(told)}"] * bool(told) + changed:
        reading.note(f"{path}: {line}")
    return table.replace_schema_metadata({**(table.schema.metadata or {}), _FORM: layout.form})


def _is_json(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith((".jsonl", ".ndjson", ".json"))


def _read_json(path: Path, reading: Reading) -> pa.Table:
    table = json_table(path, reading.encoding, reading.note)
    for index, name in enumerate(table.column_names):
        if name in reading.texts and not pa.types.is_nested(table[name].type):
            table = table.set_column(index, name, pc.cast(table[name], pa.string()))
    table, changed = with_numbers(table, path, ",", reading.decimal, reading.texts, reading.fitted, None)
    for line in changed:
        reading.note(f"{path}: {line}")
    return table.replace_schema_metadata({**(table.schema.metadata or {}), _FORM: "JSON"})


def form_of(table: pa.Table) -> str:
    """How the file of a table is laid out, in words."""
    form: bytes = (table.schema.metadata or {}).get(_FORM, b"Parquet")
    return form.decode()


def lines_of_rows(path: Path, reading: Reading, size: int) -> Sequence[int] | NDArray[np.int64]:
    """The line, from 1, of each row of a text file; none of others.

    Args:
        path: the file.
        reading: how it was read.
        size: number of its rows; where it has no other lines but those before the first row, none is looked for.
    """
    if path.name.lower().endswith((".parquet", ".pq", *WORKBOOKS)):
        return []
    encoding = encoding_of(path, reading.encoding)
    layout = None if _is_json(path) else _layout(path, encoding, reading)
    skipped = layout.skipped if layout else 0
    if not codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")) and num_lines(path) == skipped + size:
        return range(skipped + 1, skipped + size + 1)
    if layout is None:
        found = (line for line, _ in stripped_lines(path, encoding))
    else:
        rows = cells_of(lines_of(path, encoding, newline=""), layout.delimiter)
        names = layout.names if layout.header else None
        found = (line for line, row in rows if line > skipped and [cell.strip() for cell in row] != names)
    return np.fromiter(found, np.int64)


def _layout(path: Path, encoding: str, reading: Reading) -> Layout:
    with byte_stream(path) as stream:
        head = stream.read(SAMPLE_BYTES)
    if not head.strip():
        raise DataError(f"{path}: the file is empty")
    sample = head.decode(encoding, errors="replace").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if len(head) == SAMPLE_BYTES:
        sample = sample[: sample.rfind("\n")]
    if "\ufffd" in sample.split("\n", 1)[0]:
        _text(path, encoding)  # says which byte is not text
    return layout_of(sample, path, reading.header, named=reading.named)


def _parsed(path: Path, encoding: str, layout: Layout, reading: Reading, content: bytes | None = None) -> pa.Table:
    """All columns of a file, or of its content."""
    delimiter, skipped = layout.delimiter, layout.skipped
    if delimiter == BLANKS:
        content = with_tabs(_text(path, encoding) if content is None else content.decode(), skipped)
        delimiter, encoding, skipped = "\t", "utf-8", 0
    with_ends = content is not None or encoding != "utf-8" or _has_quotes(path)
    try:
        with shown_stream(path, content) as stream:
            table = pacsv.read_csv(
                stream,
                pacsv.ReadOptions(column_names=layout.names, skip_rows=skipped, encoding=encoding),
                pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=with_ends),
                pacsv.ConvertOptions(
                    null_values=[*MARKS, *NUMBER_MARKS],
                    column_types={name: pa.string() for name in layout.names if name in reading.texts},
                ),
            )
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise _diagnosis(path, encoding, layout, error) from None
    if any(pa.types.is_binary(type_) for type_ in table.schema.types):
        raise _diagnosis(path, encoding, layout, "a column is not text")
    return table


def with_tabs(text: str, skipped: int = 0) -> bytes:
    """A text whose cells are separated by runs of blanks, with tabs between them, without blank lines.

    Args:
        text: of a file.
        skipped: lines at its beginning that are left out.
    """
    text = text[max((line.end() for line in islice(_LINE_END.finditer(text), skipped)), default=0) :]
    quoted = text.rfind('"')
    end = (text.find("\n", quoted) + 1 or len(text)) if quoted >= 0 else 0
    head, rest = text[:end], text[end:]
    *cells, last = _cells_of_blanks(f"{head}\n{_END}")
    if last != [_END]:  # a quote is never closed, and what follows is part of its cell
        cells, rest = _cells_of_blanks(text), ""
    rows = io.StringIO()
    csv.writer(rows, delimiter="\t", lineterminator="\n").writerows(cells)
    rest = _BLANKS.sub("\t", _LINE_END.sub("\n", rest) if "\r" in rest else rest)  # a tenth of the time of rows
    rest = f"\n{rest}\n".replace("\n\t", "\n").replace("\t\n", "\n")
    return (rows.getvalue() + _BLANK_LINES.sub("\n", rest)[1:]).encode()


def _cells_of_blanks(text: str) -> list[list[str]]:
    return [cells for _, cells in cells_of(io.StringIO(text, newline=""), BLANKS)]


def _has_quotes(path: Path) -> bool:
    """Whether a cell may contain a line's end; a file without a quote has none, and is read in half the time."""
    with byte_stream(path) as stream:
        if not stream.seekable():  # packed, and unpacking it twice takes longer
            return True
        while block := stream.read(BLOCK):
            if b'"' in block:
                return True
    return False


def _diagnosis(path: Path, encoding: str, layout: Layout, error: object) -> DataError:
    """Read the file again, slowly, to say which line is wrong."""
    width = len(layout.names)
    for line_number, row in cells_of(io.StringIO(_text(path, encoding), newline=""), layout.delimiter):
        if len(row) != width and line_number > layout.skipped:
            return DataError(f"{path}:{line_number}: expected {width} fields as in the first line, found {len(row)}")
    return DataError(f"{path}: {error}")


def _text(path: Path, encoding: str) -> str:
    """The file's text.

    Raises:
        DataError: it is not text in that encoding; the message has the byte.
    """
    with byte_stream(path) as stream:
        return decoded(stream.read(), encoding, path)


def _may_repeat_its_header(table: pa.Table) -> bool:
    """Whether the header may be among the rows: then every column is of texts, its own name among them."""
    return all(
        pa.types.is_string(table[name].type) and pc.index(table[name], name).as_py() >= 0 for name in table.column_names
    )


def _without_copies(text: str, layout: Layout) -> tuple[bytes, int]:
    """A text without the lines that are its header again, and their number."""
    lines = text.splitlines(keepends=True)
    header = lines[layout.skipped - 1].strip()
    kept = [line for row, line in enumerate(lines) if row < layout.skipped or line.strip() != header]
    return "".join(kept).encode(), len(lines) - len(kept)


def _without_unnamed(table: pa.Table, layout: Layout) -> tuple[pa.Table, list[str]]:
    """The table without columns that have no name and are an index or empty, and what was left out, in words."""
    empty = [column for column in layout.empty if not distinct(pc.cast(table.column(column), pa.string()))]
    layout = replace(layout, empty=empty)
    return table.select(layout.kept), layout.told()


def without_marks(table: pa.Table, classes: str | None = None, kept: Iterable[str] = ()) -> pa.Table:
    """The table with marks of missing values in columns of texts as null.

    Args:
        table: as `read_table` returns it.
        classes: a column of which only empty texts and `?` are missing values, since the others may be classes.
        kept: columns whose marks are categories, as they were in training.
    """
    for index, name in enumerate(table.column_names):
        column = table[name]
        if pa.types.is_string(column.type) and name not in kept:
            marks = pa.array(["", "?"] if name == classes else MARKS)
            missing = pc.is_in(pc.utf8_trim_whitespace(column), marks)
            if pc.any(missing).as_py():
                table = table.set_column(index, name, pc.if_else(missing, None, column))
    return table


def aligned(train: pa.Table, part: pa.Table, file: Path) -> pa.Table:
    """A split's table with the columns of the training split; a column that is text there is text here.

    Raises:
        DataError: it has other columns, or text in a column of numbers.
    """
    if sorted(part.column_names) != sorted(train.column_names):
        columns, expected = ", ".join(part.column_names), ", ".join(train.column_names)
        raise DataError(f"{file}: its columns are {columns}; those of the training file are {expected}")
    part = part.select(train.column_names)
    for index, name in enumerate(train.column_names):
        if not is_numeric(train[name]):
            part = part.set_column(index, name, pc.cast(part[name], pa.string()))
        elif not is_numeric(part[name]):
            raise DataError(f"{file}: column {name} holds text; in the training file it holds numbers")
    return part
