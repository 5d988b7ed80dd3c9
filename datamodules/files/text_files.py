"""Lines of text files, plain or packed as `.gz`, in any encoding."""

import codecs
import io
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from datamodules.errors import DataError
from datamodules.files.encoding import json_value, not_text
from datamodules.files.paths import printable, regular


def lines_of(path: Path, encoding: str, newline: str | None = "\n") -> Iterator[str]:
    """The lines of a file, with their line ends.

    Args:
        path: file, unpacked if it is a `.gz`.
        encoding: encoding of the file.
        newline: what ends a line, as for `open`.

    Raises:
        DataError: the file is empty, damaged, or not text in that encoding; the last two may be found while reading.
    """
    blank = True
    try:
        with byte_stream(path) as stream, io.TextIOWrapper(stream, encoding, newline=newline) as text:
            for index, line in enumerate(text):
                line = line if index else line.removeprefix("\ufeff")
                blank = blank and not line.strip()
                yield line
    except UnicodeDecodeError:
        raise _bad_byte(path, encoding) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    if blank:
        raise DataError(f"{path}: the file is empty")


def stripped_lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, each with its line number from 1; otherwise as `lines_of`."""
    lines = enumerate(lines_of(path, encoding), start=1)
    return ((line_number, line.strip()) for line_number, line in lines if line.strip())


@contextmanager
def byte_stream(path: Path) -> Iterator[pa.NativeFile]:
    """The bytes of a file; those of a `.gz` unpacked.

    Raises:
        DataError: it is not a regular file.
    """
    if printable(path) == str(regular(path)):
        with pa.input_stream(str(path)) as stream:
            yield stream
    else:  # Arrow accepts no name that is not UTF-8
        compression = "gzip" if path.suffix == ".gz" else None
        with path.open("rb") as file, pa.input_stream(file, compression=compression) as stream:
            yield stream


def _bad_byte(path: Path, encoding: str) -> DataError:
    """The error for the first byte that is not text; a reader of blocks knows its position only within its block."""
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


def json_lines(lines: Iterable[str], path: Path) -> Iterator[tuple[int, str, Any]]:
    """The line number from 1, the line, and the value in it, of each line that is not blank.

    Raises:
        DataError: a line is not JSON.
    """
    for line_number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json_value(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{path}:{line_number}: not JSON ({error.msg}, column {error.colno}); expected an object a line"
            ) from None
        yield line_number, line, value
