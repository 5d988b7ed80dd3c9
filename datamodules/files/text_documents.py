"""The documents of files of texts: of plain text, and of tables with a text in each row."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from datamodules.errors import DataError
from datamodules.files.corpus_files import TEXTS, unpacked_name
from datamodules.files.document_parts import Piece
from datamodules.files.text_files import blocks_of
from datamodules.files.text_rows import row_texts
from datamodules.tokenizing.language import END_OF_TEXT

Document = Literal["auto", "file", "line", "paragraph"]

BLOCK = 1 << 16  # characters that are read together


def file_parts(path: Path, document: Document, keys: Sequence[str], encoding: str) -> Iterator[Piece]:
    """The parts of the documents of a file.

    Args:
        path: a text file, or a table of rows in JSON lines, a list in JSON, or Parquet.
        document: `file`, the text of a file or a row; `line`, each line of it; `paragraph`, what blank lines part;
            `auto`, the text of a file or a row, but that lines `<|endoftext|>` part a file.
        keys: of a row's text; several are joined by line breaks.
        encoding: of the file.

    Raises:
        DataError: the file is damaged, no text, or has no such key; this may be found while reading.
    """
    if unpacked_name(path).suffix in TEXTS:
        if document == "auto":
            return _parted(_texts(path, encoding), lambda line: line.strip() == END_OF_TEXT, END_OF_TEXT)
        return _documents(_texts(path, encoding), document)
    return (part for text in row_texts(path, keys, encoding) for part in _documents([text], document))


def _documents(blocks: Iterable[str], document: Document) -> Iterator[Piece]:
    if document == "paragraph":
        return _parted(blocks, lambda line: not line.strip())
    return _lines(blocks) if document == "line" else _whole(blocks)


def _whole(blocks: Iterable[str]) -> Iterator[Piece]:
    yield from (Piece(block, False) for block in blocks)
    yield Piece("", True)


def _lines(blocks: Iterable[str]) -> Iterator[Piece]:
    """Each line that is not blank as a document; one that is longer than a block has several parts."""
    begun = False
    for block in blocks:
        *lines, rest = block.split("\n")
        for line in lines:
            if begun or line.strip():
                yield Piece(line, True)
            begun = False
        if rest:
            yield Piece(rest, False)
            begun = True
    if begun:
        yield Piece("", True)


def _parted(blocks: Iterable[str], is_break: Callable[[str], bool], mark: str = "") -> Iterator[Piece]:
    """What some lines part, as documents, without the line break at their end; all of it, if no line does.

    Args:
        blocks: of the text.
        is_break: whether a line parts documents.
        mark: what such a line contains.
    """
    joint, begun, found, is_whole = "", False, not mark, True
    for block in blocks:
        ended = block.endswith("\n")
        lines = block.removesuffix("\n").split("\n") if mark in block else [block.removesuffix("\n")]
        breaks = [at for at, line in enumerate(lines) if (at or is_whole) and is_break(line)] if mark in block else []
        start = 0
        for end in (*breaks, len(lines)):
            if end > start:
                yield Piece((joint if begun else "") + "\n".join(lines[start:end]), False)
                joint, begun = "\n", True
            if end < len(lines):
                if begun:
                    yield Piece("", True)
                begun, found = False, True
            start = end + 1
        joint, is_whole = "\n" if ended else "", ended
    if begun or not found:
        yield Piece("" if found else joint, True)


def _texts(path: Path, encoding: str) -> Iterator[str]:
    """The text of a file in blocks.

    Raises:
        DataError: it has a NUL character, which no text has.
    """
    before = 0
    for block in blocks_of(path, encoding, BLOCK):
        if "\0" in block:
            raise DataError(
                f"{path}: has a NUL as character {before + block.index(chr(0))}, so it is no {encoding} text; "
                f"expected text; --data.encoding says in which encoding"
            )
        before += len(block)
        yield block
