"""Lines of text files, plain or packed as `.gz` or `.zst`, in any encoding."""

import codecs
import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa

from datamodules.errors import DataError
from datamodules.files.encoding import json_value, not_text
from datamodules.files.paths import printable, regular
from datamodules.files.splits import is_hidden, listed
from datamodules.files.spreadsheets import csv_of
from datamodules.storage.progress import shown_reads

WORKBOOKS = (".xlsx", ".xlsm")
PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}  # what a packed file begins with, and Arrow's name of it
BLOCK = 1 << 22  # bytes that are read at once
HEAD = 64  # bytes from which a file's format is recognised
NO_TEXT = {  # what begins like this, in lower case
    b"\xd0\xcf\x11\xe0": "an Excel 97 workbook or another old Office file; save its table as CSV (UTF-8)",
    b"%pdf": "a PDF; save its table as CSV, or its text as plain text (UTF-8)",
    b"{\\rtf": "a rich text document; save it as plain text (UTF-8)",
    b"sqlite format 3": "an SQLite database; export its table as CSV",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive; unpack it",
    b"rar!": "a RAR archive; unpack it",
    b"<!doctype html": "a web page; download the file that it shows instead (on GitHub: Raw)",
    b"<table": "a table of a web page; open it in Excel or LibreOffice, and save it as CSV (UTF-8)",
    b"<meta": "a web page; download the file that it shows, or save its table as CSV (UTF-8)",
    b"@relation": "an ARFF file of Weka; save it as CSV",
    b"\x93numpy": "an array of NumPy; save it with numpy.savetxt",
    b"arrow1": "a Feather file; save it as Parquet or CSV",
    b"\x89hdf": "an HDF5 file; save its table as Parquet or CSV",
    b"$fl2@(#)": "an SPSS file; save it as CSV",
    b"<stata_dta": "a Stata file; save it as CSV",
    b"bzh91ay&sy": "a bzip2 archive; unpack it",
    b"\xfd7zxz": "an xz archive; unpack it",
    b"<html": "a web page; download the file that it shows instead (on GitHub: Raw)",
    b"version https://git-lfs": "a pointer of Git LFS; fetch the file itself with git lfs pull",
}


def lines_of(path: Path, encoding: str, newline: str | None = "\n") -> Iterator[str]:
    """The lines of a file, with their line ends.

    Args:
        path: file, unpacked if it is a `.gz` or `.zst`.
        encoding: encoding of the file, unless its first bytes say that it is UTF-16.
        newline: what ends a line, as for `open`; a lone carriage return where the file has no line feed.

    Raises:
        DataError: the file is empty, damaged, or not text in that encoding; the last two may be found while reading.
    """
    blank = True
    for line in _read(path, encoding, newline, iter):
        blank = blank and not line.strip()
        yield line
    if blank:
        raise DataError(f"{path}: the file is empty")


def blocks_of(path: Path, encoding: str, size: int) -> Iterator[str]:
    """The text of a file in blocks that end where a line does, but for a line that is longer than a block.

    Line ends are line feeds, whatever they are in the file. There is no block of an empty file.

    Args:
        path: file, unpacked if it is a `.gz` or `.zst`.
        encoding: as for `lines_of`.
        size: characters of a block; with the rest of its last line it may have twice as many.

    Raises:
        DataError: the file is damaged, or not text in that encoding; this may be found while reading.
    """

    def blocks(text: io.TextIOWrapper) -> Iterator[str]:
        while block := text.read(size):
            yield block if block.endswith("\n") else block + text.readline(size)

    return _read(path, encoding, None, blocks)


def _read(
    path: Path, encoding: str, newline: str | None, parts: Callable[[io.TextIOWrapper], Iterator[str]]
) -> Iterator[str]:
    """The parts of a file's text, without a byte order mark."""
    try:
        encoding = encoding_of(path, encoding)
        newline = "\r" if newline == "\n" and _ends_in_returns(path) else newline
        with (
            shown_stream(path) as stream,
            io.TextIOWrapper(stream, encoding, newline=newline) as text,
        ):
            for index, part in enumerate(parts(text)):
                yield part if index else part.removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise _bad_byte(path, encoding) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from None


def encoding_of(path: Path, encoding: str) -> str:
    """The encoding of a file: UTF-16 where its byte order mark says so, else as given; a workbook is read as UTF-8."""
    if path.name.lower().endswith(WORKBOOKS):
        return "utf-8"
    with byte_stream(path) as stream:
        mark = stream.read(2)
    return "utf-16" if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else encoding


def is_csv(path: Path) -> bool:
    """Whether the ending of a file says that its cells are quoted and separated by commas, or the like."""
    return path.name.lower().removesuffix(".gz").endswith((".csv", *WORKBOOKS))


def _ends_in_returns(path: Path) -> bool:
    """Whether the lines of a file end in carriage returns alone, as on old Macs."""
    with byte_stream(path) as stream:
        head = stream.read(1 << 16)
    return b"\r" in head and b"\n" not in head


def stripped_lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, each with its line number from 1; otherwise as `lines_of`."""
    lines = enumerate(lines_of(path, encoding), start=1)
    return ((line_number, line.strip()) for line_number, line in lines if line.strip())


@contextmanager
def byte_stream(path: Path) -> Iterator[pa.NativeFile]:
    """The bytes of a file, whatever its name is; unpacked if packed by gzip, Zstandard or zip, a workbook as CSV.

    Raises:
        DataError: it is not a regular file, or one that holds no text.
    """
    with _opened(path) as (stream, _):
        yield stream


@contextmanager
def shown_stream(path: Path, content: bytes | None = None) -> Iterator[IO[bytes]]:
    """As `byte_stream`, of a file that is read to its end, while it is shown how much of it has been.

    Args:
        path: of the file.
        content: is read instead, where the file had to be rewritten.
    """
    opened = _opened(path) if content is None else nullcontext((pa.BufferReader(content), None))
    with opened as (stream, packed), shown_reads(stream, f"reading {path.name}", packed) as shown:
        yield shown


@contextmanager
def _opened(path: Path) -> Iterator[tuple[pa.NativeFile, IO[bytes] | None]]:
    """The bytes of a file, and the file itself where it is read by Python, as if it is packed."""
    with regular(path).open("rb") as file:
        head = file.read(HEAD)
        file.seek(0)
        if head.startswith(b"PK\x03\x04"):
            if _is_workbook(file):
                yield pa.BufferReader(csv_of(path)), None
                return
            with _only_member(path, file) as member:
                _refuse_packed(path, member.peek(HEAD))
                with pa.PythonFile(member, mode="r") as stream:
                    yield stream, file
            return
        if found := _no_text(head):
            raise DataError(f"{path}: is {found}")
        codec = next((name for magic, name in PACKED.items() if head.startswith(magic)), None)
        if codec == "gzip":
            with suppress(OSError, EOFError, zlib.error):  # reading all of it says what is damaged
                _refuse_packed(path, gzip.GzipFile(fileobj=file).peek(HEAD))
            file.seek(0)
        if codec and not pa.Codec.is_available(codec):
            raise DataError(f"{path}: is packed by {codec}, which this build of pyarrow lacks; unpack it")
        if codec or printable(path) != str(path):  # Arrow accepts no name that is not UTF-8
            with pa.input_stream(file, compression=codec) as stream:
                yield stream, file
            return
    with pa.input_stream(str(path), compression=None) as stream:
        yield stream, None


def num_lines(path: Path) -> int | None:
    """How many lines a file has up to its last one that is not empty; None where a carriage return alone ends one."""
    lines = after = returns = 0
    last = b""
    with byte_stream(path) as stream:
        while block := stream.read(BLOCK):
            returns += block.count(b"\r") - block.count(b"\r\n") - (last == b"\r" and block[:1] == b"\n")
            last = block[-1:]
            text = block.rstrip(b"\r\n")
            ending = block.count(b"\n", len(text))
            if text:
                lines, after = lines + after + text.count(b"\n"), ending
            else:
                after += ending
    return None if returns else lines + 1


def _no_text(head: bytes) -> str | None:
    """What a file is that begins so, if it is no text."""
    return next((what for magic, what in NO_TEXT.items() if head.lstrip().lower().startswith(magic)), None)


def _refuse_packed(path: Path, head: bytes) -> None:
    """Refuse an archive of what is no text.

    Raises:
        DataError: the file in it begins as a workbook or another archive.
    """
    packed = "another archive, or a workbook" if head.startswith((b"PK\x03\x04", *PACKED)) else _no_text(head)
    if packed:
        raise DataError(f"{path}: unpack it; what is in it is {packed}")


def _is_workbook(file: IO[bytes]) -> bool:
    try:
        return "xl/workbook.xml" in zipfile.ZipFile(file).namelist()
    except zipfile.BadZipFile:
        return False


def _only_member(path: Path, file: IO[bytes]) -> zipfile.ZipExtFile:
    """The only file in a zip.

    Raises:
        DataError: it has several, or is an office's file.
    """
    try:
        archive = zipfile.ZipFile(file)
        names = [name for name in archive.namelist() if not name.endswith("/") and not is_hidden(Path(name))]
        if "content.xml" in names:
            raise DataError(f"{path}: is an OpenDocument file; save its table as CSV (UTF-8)")
        if "xl/workbook.bin" in names:
            raise DataError(f"{path}: is a binary Excel workbook; save it as .xlsx, or its table as CSV (UTF-8)")
        if len(names) != 1:
            raise DataError(f"{path}: is a zip of {len(names)} files, such as {listed(names, 3)}; unpack it")
        return cast(zipfile.ZipExtFile, archive.open(names[0]))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path}: cannot be unpacked ({error})") from None


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
                position = end - len(error.object) + error.start
                sample = error.object[max(error.start - 1000, 0) :]
                return not_text(path, position, error.object[error.start], encoding, sample)
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
