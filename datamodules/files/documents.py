"""Documents, each a file of its own, as a table of texts."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from datamodules.errors import DataError
from datamodules.files.class_folders import ClassFolders
from datamodules.files.delimited import SAMPLE, Row, Table
from datamodules.files.splits import Note, split_of
from datamodules.files.text_files import lines_of
from datamodules.storage.streaming import is_large

SUFFIXES = (".txt", ".md", "")  # those of 20 Newsgroups have none
NAME = "document"  # of the column of their texts


def document_folders(folder: Path, note: Note) -> list[tuple[Path, str, str]]:
    """(file, class, split) of each document in class folders; empty where the folder has other files for its splits."""
    if any(file.is_file() and split_of(file.name) for file in folder.iterdir()):
        return []
    return list(ClassFolders("documents", SUFFIXES, note).found_in(folder))


def documents_in(path: Path) -> list[Path]:
    """A document, or those of a folder and the folders in it, in the order of their paths."""
    return [path] if path.is_file() else [*ClassFolders("documents", SUFFIXES, print).files_in(path)]


def document_table(folder: Path, files: Sequence[Path], encoding: str) -> Table:
    """Documents as a table with a row each; those that are too large together are read as they are needed.

    Raises:
        DataError: one is not text in that encoding; this may be found while reading.
    """

    def read() -> Iterator[Row]:
        return ((number, [_text(file, encoding)]) for number, file in enumerate(files, 1))

    large = is_large(files)
    rows: list[Row] = list(islice(read(), SAMPLE if large else None))
    again: Callable[[], Iterator[Row]] | None = read if large else None
    return Table(folder, [NAME], rows, again, "a document a file", files)


def _text(file: Path, encoding: str) -> str:
    try:
        return "".join(lines_of(file, encoding, newline=None)).strip()
    except DataError as error:
        if "is empty" in str(error):
            return ""
        raise
