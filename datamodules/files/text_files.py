"""Texts and their labels from files: CSV, TSV, JSON lines, or plain text with an example on each line."""

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

import pyarrow as pa

from datamodules.errors import DataError
from datamodules.files.encoding import json_value, not_text
from datamodules.files.paths import printable, regular

SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".csv.gz", ".tsv.gz", ".txt.gz", ".jsonl.gz")
TEXT_COLUMNS = ("text", "sentence", "review", "content", "title", "question", "comment", "文本", "内容", "评论", "标题")
LABEL_COLUMNS = ("label", "target", "class", "category", "sentiment", "标签", "类别", "情感")
SPLIT_NAMES = {"train": ("train",), "val": ("val", "valid", "validation", "dev"), "test": ("test",)}
LONGEST_FIELD = 1 << 24  # characters: a quote that is never closed swallows no more; Python's csv stops at 131,072
IN_MEMORY = 2**28  # bytes of files that are held in memory, where texts and tokens take four times as much
PACKED = 4  # times smaller is a text in `.gz`, more or less
SAMPLE = 1000  # rows of a large file by which its columns are told apart

T = TypeVar("T")
Row = tuple[int, list[str]]  # the line that it begins in, from 1, and a cell a column


@dataclass
class Table:
    """What a file holds, all of it as text.

    Args:
        path: of the file.
        names: of the columns; their positions, "0", "1", …, where the file has no names for them.
        rows: all of them; the first ones of a large file.
        again: reads all rows of a large file from its beginning.
    """

    path: Path
    names: list[str]
    rows: list[Row]
    again: Callable[[], Iterator[Row]] | None = None

    def __iter__(self) -> Iterator[Row]:
        return self.again() if self.again else iter(self.rows)

    def column(self, name: str) -> list[str]:
        """All cells of a column."""
        place = self.names.index(name)
        return [row[place] for _, row in self]

    def distinct(self, name: str) -> int:
        """How many different cells a column has among the rows that are in memory."""
        place = self.names.index(name)
        return len({row[place] for _, row in self.rows})

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


class Streamed:
    """Texts of files too large for memory: these are read again each time the texts are gone through.

    Args:
        columns: tables and the column of each, one after the other.
    """

    def __init__(self, columns: list[tuple[Table, str]]) -> None:
        self.columns = columns

    def __iter__(self) -> Iterator[str]:
        for table, name in self.columns:
            place = table.names.index(name)
            for _, row in table:
                yield row[place]

    def __len__(self) -> int:
        return self._size

    @cached_property
    def _size(self) -> int:
        return sum(1 for _ in self)

    @property
    def key(self) -> list[str]:
        """What the texts depend on: other content has another key."""
        return [f"{state_of(table.path)} {table.names} {name}" for table, name in self.columns]


class Repeatable(Generic[T]):
    """What can be gone through several times, as it is made anew each time.

    Args:
        make: makes it.
    """

    def __init__(self, make: Callable[[], Iterator[T]]) -> None:
        self.make = make

    def __iter__(self) -> Iterator[T]:
        return self.make()


def lines_of(path: Path, encoding: str, newline: str | None = "\n") -> Iterator[str]:
    """The lines of a file, with their ends; `.gz` is unpacked.

    Args:
        path: the file.
        encoding: of the file.
        newline: what ends a line, as for `open`.

    Raises:
        DataError: it is empty, damaged, or not text in that encoding; damage may be found while the lines are read.
    """
    blank = True
    try:
        with byte_stream(path) as stream, io.TextIOWrapper(stream, encoding, newline=newline) as text:
            for number, line in enumerate(text):
                line = line if number else line.removeprefix("\ufeff")
                blank = blank and not line.strip()
                yield line
    except UnicodeDecodeError:
        raise _bad_byte(path, encoding) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    if blank:
        raise DataError(f"{path}: the file is empty")


@contextmanager
def byte_stream(path: Path) -> Iterator[pa.NativeFile]:
    """The bytes of a file; those of `.gz` unpacked.

    Raises:
        DataError: it is no file.
    """
    if printable(path) == str(regular(path)):
        with pa.input_stream(str(path)) as stream:
            yield stream
    else:  # Arrow takes no name that is not UTF-8
        packing = "gzip" if path.suffix == ".gz" else None
        with path.open("rb") as file, pa.input_stream(file, compression=packing) as stream:
            yield stream


def _bad_byte(path: Path, encoding: str) -> DataError:
    """What to say of the first byte that is not text; a reader of blocks knows its place only within its own."""
    decoder, end = codecs.getincrementaldecoder(encoding)(), 0
    with byte_stream(path) as stream:
        while True:
            block = stream.read(1 << 20)
            end += len(block)
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                return not_text(path, end - len(error.object) + error.start, error.object[error.start], encoding)
            assert block, f"{path}: is text after all"


def read_texts(path: Path, encoding: str, header: bool | None = None, large: bool = False) -> Table:
    """Read a table of texts; the format follows from the name: JSON lines, CSV, or else columns parted by tabs.

    Args:
        path: the file.
        encoding: of the file.
        header: whether the first row names the columns; None to find out. JSON lines have names anyway.
        large: keep only the first rows in memory, and read the others as they are needed.

    Raises:
        DataError: the file is empty, not text in that encoding, ragged, or not JSON (with the line).
    """
    name = path.name.removesuffix(".gz")
    if name.endswith((".jsonl", ".json")):
        header = True
        read = _json_rows
    elif name.endswith(".csv"):
        read = _csv_rows
    else:
        read = _quoted_rows if _is_quoted(path, encoding) else _tab_rows
    rows = list(islice(read(path, encoding), SAMPLE if large else None))
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
    skipped = int(header)
    return Table(path, names, rows, (lambda: islice(read(path, encoding), skipped, None)) if large else None)


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


def _csv_rows(path: Path, encoding: str, delimiter: str = "") -> Iterator[Row]:
    if not delimiter:
        first = next((line for line in lines_of(path, encoding) if line.strip()), "")
        delimiter = ";" if first.count(";") > 0 == first.count(",") else ","
    csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader(lines_of(path, encoding, newline=""), delimiter=delimiter, strict=True)
    return _even(_numbered(reader, path), path)


def _numbered(reader: Any, path: Path) -> Iterator[Row]:
    line = 1
    try:
        for row in reader:
            if row:
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}:{line}: not CSV ({error}); a quote within a quoted field is doubled") from None


def _quoted_rows(path: Path, encoding: str) -> Iterator[Row]:
    return _csv_rows(path, encoding, "\t")


def _tab_rows(path: Path, encoding: str) -> Iterator[Row]:
    lines = (line.replace("\r\n", "\n").removesuffix("\n") for line in lines_of(path, encoding))
    return _even(((number, line.split("\t")) for number, line in enumerate(lines, start=1) if line.strip()), path)


def _is_quoted(path: Path, encoding: str) -> bool:
    """Whether a file with tabs has a spreadsheet's quoted fields; elsewhere a quote is mostly a quote."""
    if not any('"' in line for line in lines_of(path, encoding)):
        return False
    try:  # a lone quote would swallow whole rows
        return not any("\t" in cell for _, row in _quoted_rows(path, encoding) for cell in row)
    except DataError:
        return False


def _even(rows: Iterator[Row], path: Path) -> Iterator[Row]:
    width = 0
    for line, row in rows:
        width = width or len(row)
        if len(row) != width:
            raise DataError(f"{path}:{line}: expected {width} fields as in the first line, found {len(row)}")
        yield line, row


def json_lines(lines: Iterable[str], path: Path) -> Iterator[tuple[int, str, Any]]:
    """The line's number from 1, the line, and the value in it, of each line that is not blank.

    Raises:
        DataError: a line is not JSON.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json_value(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{path}:{number}: not JSON ({error.msg}, column {error.colno}); expected an object a line"
            ) from None
        yield number, line, value


def _json_rows(path: Path, encoding: str) -> Iterator[Row]:
    """A row of names, and one for each object."""
    names: list[str] = []
    for number, line, row in json_lines(lines_of(path, encoding), path):
        where = f"{path}:{number}"
        if not isinstance(row, dict):
            raise DataError(f'{where}: expected an object such as {{"text": …, "label": …}}, found {line.strip()[:40]}')
        if not names:
            names = list(row)
            yield number, names
        missing = [name for name in names if name not in row]
        if missing:
            raise DataError(f"{where}: has no {missing[0]}, as the first line has; it has {', '.join(row)}")
        yield number, [_cell(row[name]) for name in names]


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
        _, many = sorted(table.names, key=table.distinct)  # labels recur, texts hardly do
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
    return lines_table(path, encoding).column("0")


def lines_table(path: Path, encoding: str, large: bool = False) -> Table:
    """The lines of a file that are not empty, as a table of one column; otherwise as `read_texts`."""

    def read() -> Iterator[Row]:
        lines = enumerate(lines_of(path, encoding), start=1)
        return ((number, [line.strip()]) for number, line in lines if line.strip())

    return Table(path, ["0"], list(islice(read(), SAMPLE if large else None)), read if large else None)


def state_of(path: Path) -> str:
    """A file's place, size and time: other content has another state."""
    stat = path.stat()
    return f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}"


def is_large(files: Iterable[Path], times: int = 1) -> bool:
    """Whether files are too large together for what they hold to be kept in memory.

    Args:
        files: of which one in `.gz` counts as if it were unpacked.
        times: how much more memory they take than other texts of their size.
    """
    return times * sum(file.stat().st_size * (PACKED if file.suffix == ".gz" else 1) for file in files) > IN_MEMORY


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
