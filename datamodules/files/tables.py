"""Tables in CSV and Parquet files: delimiter and header are detected, missing values recognised."""

import csv
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from datamodules.errors import DataError
from datamodules.files.encoding import decoded
from datamodules.files.table_columns import is_number, is_numeric
from datamodules.files.text_files import byte_stream

MISSING = ["", "?", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "#N/A"]
TABLE_FILES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz", ".parquet", ".pq")


def _lines(path: Path, encoding: str) -> io.StringIO:
    """The file's text.

    Raises:
        DataError: it is not text in that encoding; the message has the byte.
    """
    with byte_stream(path) as stream:
        return io.StringIO(decoded(stream.read(), encoding, path), newline="")


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns: no cell of it is a number, empty, or repeated in its column."""
    first, rest = rows[0], rows[1:]
    if any(is_number(cell) or not cell.strip() for cell in first):
        return False
    return not any(cell == row[column] for row in rest for column, cell in enumerate(first) if column < len(row))


def read_table(path: Path, encoding: str, header: bool | None) -> pa.Table:
    """Read a CSV (its delimiter is detected) or Parquet file.

    Args:
        path: the file.
        encoding: of a CSV file.
        header: whether the first row of a CSV file names the columns; None to detect it. Columns without a name
            are named by their index, "0", "1", ….

    Raises:
        DataError: the file is empty, not text, or ragged (with the line).
    """
    try:
        parquet = path.name.endswith((".parquet", ".pq"))
        if parquet:
            with byte_stream(path) as stream:
                table = pq.read_table(stream)
        else:
            table = _read_csv(path, encoding, header)
    except (OSError, pa.ArrowInvalid, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    for name, type_ in zip(table.column_names, table.schema.types, strict=True):
        if pa.types.is_nested(type_):
            raise DataError(f"{path}: column {name} holds {type_}, expected numbers or text")
    return table


def _read_csv(path: Path, encoding: str, header: bool | None) -> pa.Table:
    with byte_stream(path) as stream:
        head = stream.read(1 << 16)
    if not head.strip():
        raise DataError(f"{path}: the file is empty")
    sample = head.decode(encoding, errors="replace").removeprefix("\ufeff")
    if len(head) == 1 << 16:
        sample = sample[: sample.rfind("\n")]
    first = sample.split("\n", 1)[0]
    delimiter = max(",;\t|", key=first.count)  # the first of them on a tie, as in a table of one column
    rows = [row for row in csv.reader(io.StringIO(sample), delimiter=delimiter) if row]
    if header is None:
        header = _has_header(rows)
    names = [name.strip() for name in rows[0]] if header else [str(index) for index in range(len(rows[0]))]
    if any("\ufffd" in name for name in names):
        _lines(path, encoding)  # says which byte is not text
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}:1: two columns are called {twice}")
    try:
        with byte_stream(path) as stream:
            table = pacsv.read_csv(
                stream,
                pacsv.ReadOptions(column_names=names, skip_rows=int(header), encoding=encoding),
                pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                pacsv.ConvertOptions(null_values=MISSING, strings_can_be_null=True),
            )
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise _diagnosis(path, encoding, delimiter, len(names), error) from None
    if any(pa.types.is_binary(type_) for type_ in table.schema.types):
        raise _diagnosis(path, encoding, delimiter, len(names), "a column is not text")
    return table


def _diagnosis(path: Path, encoding: str, delimiter: str, width: int, error: object) -> DataError:
    """Read the file again, slowly, to say which line is wrong."""
    reader = csv.reader(_lines(path, encoding), delimiter=delimiter)
    for row in reader:
        if row and len(row) != width:
            where = f"{path}:{reader.line_num}"
            return DataError(f"{where}: expected {width} fields as in the first line, found {len(row)}")
    return DataError(f"{path}: {error}")


def aligned(train: pa.Table, part: pa.Table, file: Path) -> pa.Table:
    """A split's table with the columns of the training split; a column that is text there is text here.

    Raises:
        DataError: it has other columns, or text in a column of numbers.
    """
    if part.column_names != train.column_names:
        columns, expected = ", ".join(part.column_names), ", ".join(train.column_names)
        raise DataError(f"{file}: its columns are {columns}; those of the training file are {expected}")
    for index, name in enumerate(train.column_names):
        if not is_numeric(train[name]):
            part = part.set_column(index, name, pc.cast(part[name], pa.string()))
        elif not is_numeric(part[name]):
            raise DataError(f"{file}: column {name} holds text; in the training file it holds numbers")
    return part
