"""Tables in CSV and Parquet files: how they are laid out is detected, numbers and missing values are recognised."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from datamodules.errors import DataError
from datamodules.files.encoding import decoded
from datamodules.files.layout import BLANKS, SAMPLE_BYTES, SAMPLE_ROWS, Layout, cells_of, layout_of
from datamodules.files.splits import Note, listed
from datamodules.files.table_columns import is_numeric
from datamodules.files.text_files import byte_stream, encoding_of
from datamodules.files.written_numbers import (
    MARKS,
    NUMBER_MARKS,
    SIGNS,
    Decimal,
    converted,
    decimal_of,
    distinct,
    fits,
    is_written_number,
    plain,
)

TABLE_FILES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz", ".parquet", ".pq")
FEW_TEXTS = 0.01  # of a column's distinct values: so few that are no numbers are told


@dataclass(frozen=True)
class Reading:
    """How a table is to be read.

    Args:
        encoding: of a CSV file.
        header: whether its first row names the columns; None to decide that from the rows.
        named: names of columns that are expected; one of them in the first row makes it a header.
        texts: columns that are texts whatever is in them, since they were in training.
        decimal: the decimal sign; None to decide it from the columns.
        note: reports what is left out, changed or guessed.
    """

    encoding: str = "utf-8"
    header: bool | None = None
    named: Iterable[object] = ()
    texts: frozenset[str] = field(default_factory=frozenset)
    decimal: Decimal | None = None
    note: Note = lambda text: None


def read_table(path: Path, reading: Reading) -> pa.Table:
    """Read a delimited or Parquet file.

    Columns without a name are named by their index, "0", "1", …. Marks of missing values are null in columns of
    numbers; in a column of texts they are left as they are, see `without_marks`.

    Raises:
        DataError: the file is empty, not text, or ragged (with the line).
    """
    try:
        if path.name.endswith((".parquet", ".pq")):
            with byte_stream(path) as stream:
                table = pq.read_table(stream)
        else:
            table = _read_delimited(path, reading)
    except (OSError, pa.ArrowInvalid, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    for name, type_ in zip(table.column_names, table.schema.types, strict=True):
        if pa.types.is_nested(type_):
            raise DataError(f"{path}: column {name} holds {type_}, expected numbers or text")
    return table


def _read_delimited(path: Path, reading: Reading) -> pa.Table:
    encoding = encoding_of(path, reading.encoding)
    with byte_stream(path) as stream:
        head = stream.read(SAMPLE_BYTES)
    if not head.strip():
        raise DataError(f"{path}: the file is empty")
    sample = head.decode(encoding, errors="replace").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if len(head) == SAMPLE_BYTES:
        sample = sample[: sample.rfind("\n")]
    if "\ufffd" in sample.split("\n", 1)[0]:
        _text(path, encoding)  # says which byte is not text
    layout = layout_of(sample, path, reading.header, named=reading.named)
    copies = 0
    table = _parsed(path, encoding, layout, reading)
    if layout.header and len(table) and _may_repeat_its_header(table):
        content, copies = _without_copies(_text(path, encoding), layout)
        if copies:
            table = _parsed(path, "utf-8", layout, reading, content)
    table, left_out = _without_unnamed(table, layout)
    table, changed = _with_numbers(table, path, layout, reading)
    told = [f"{copies} later copies of the header"] * bool(copies) + left_out
    for line in [f"left out {' and '.join(told)}"] * bool(told) + changed:
        reading.note(f"{path}: {line}")
    return table


def _parsed(path: Path, encoding: str, layout: Layout, reading: Reading, content: bytes | None = None) -> pa.Table:
    """All columns of a file, or of its content."""
    delimiter, skipped = layout.delimiter, layout.skipped
    if delimiter == BLANKS:
        text = io.StringIO(_text(path, encoding) if content is None else content.decode(), newline="")
        rows = io.StringIO()
        csv.writer(rows, delimiter="\t", lineterminator="\n").writerows(cells for _, cells in cells_of(text, BLANKS))
        content, delimiter, encoding, skipped = rows.getvalue().encode(), "\t", "utf-8", int(layout.header)
    try:
        with byte_stream(path) if content is None else pa.BufferReader(content) as stream:
            table = pacsv.read_csv(
                stream,
                pacsv.ReadOptions(column_names=layout.names, skip_rows=skipped, encoding=encoding),
                pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
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


def _with_numbers(table: pa.Table, path: Path, layout: Layout, reading: Reading) -> tuple[pa.Table, list[str]]:
    """The table with texts that are numbers as people write them converted, and what was converted, in words."""
    columns: dict[str, list[str]] = {}
    notes: list[str] = []
    for name in table.column_names:
        if pa.types.is_string(table[name].type) and name not in reading.texts and _seems_numeric(table[name]):
            texts = distinct(table[name])
            others = [text for text in texts if not is_written_number(text)]
            if texts and not others:
                columns[name] = texts
            elif len(others) <= FEW_TEXTS * len(texts):
                notes.append(f"column {name} is read as text: {listed(others, 3)} are no numbers, as the others are")
    plains = {name: [plain(text) for text in texts] for name, texts in columns.items()}
    by_delimiter: dict[str, Decimal] = {";": ",", ",": "."}
    decimal = reading.decimal or decimal_of(list(plains.values())) or by_delimiter.get(layout.delimiter)
    for name, cells in plains.items():
        of_column: Decimal | None = decimal
        if decimal is None and all(fits(cell, ".") and fits(cell, ",") for cell in cells):
            if any("," in cell or "." in cell for cell in cells):
                raise DataError(
                    f"{path}: column {name}: {columns[name][0]} may be a thousand or have decimals; "
                    f'give --data.decimal "." or ","'
                )
            of_column = "."
        if of_column is None or not all(fits(cell, of_column) for cell in cells):
            continue
        table = table.set_column(table.column_names.index(name), name, converted(table[name], of_column))
        signs = "".join(sorted({sign for text in columns[name] for sign in text if sign in SIGNS}))
        written = [f"decimal {of_column}"] * any("," in cell or "." in cell for cell in cells) + [
            f"without {signs}"
        ] * bool(signs)
        if written:
            notes.append(f"column {name} is read as numbers ({', '.join(written)})")
    return table, notes


def _seems_numeric(column: pa.ChunkedArray) -> bool:
    """Whether nearly all of the first texts of a column are numbers; of millions of others none is looked at."""
    texts = distinct(column.slice(0, SAMPLE_ROWS))
    return 2 * sum(map(is_written_number, texts)) > len(texts)


def without_marks(table: pa.Table, classes: str | None = None) -> pa.Table:
    """The table with marks of missing values in columns of texts as null.

    Args:
        table: as `read_table` returns it.
        classes: a column of which only empty texts and `?` are missing values, since the others may be classes.
    """
    for index, name in enumerate(table.column_names):
        column = table[name]
        if pa.types.is_string(column.type):
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
