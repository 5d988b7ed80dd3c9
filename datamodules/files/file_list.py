"""Lists of many files in little memory."""

import os
from array import array
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from datamodules.files.paths import regular
from datamodules.files.splits import is_hidden


class FileList:
    """Paths end to end in one array: a fifth of the memory of Path objects, none of which forked workers copy."""

    def __init__(self) -> None:
        self.text = bytearray()
        self.ends = array("q", [0])

    def append(self, path: Path) -> None:
        """Add a path."""
        self.text += os.fsencode(path)
        self.ends.append(len(self.text))

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, index: int) -> Path:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return Path(os.fsdecode(bytes(self.text[self.ends[index] : self.ends[index + 1]])))

    def encoded(self) -> Iterator[bytes]:
        """The paths as bytes, in a fifth of the time."""
        text, ends = bytes(self.text), self.ends
        return (text[start:end] for start, end in pairwise(ends))

    def __iter__(self) -> Iterator[Path]:
        return (self[index] for index in range(len(self)))


def files_in(folder: Path, suffixes: tuple[str, ...], others: Counter[str] | None = None) -> Iterator[Path]:
    """The files of a folder and of the folders in it that have one of the suffixes, in the order of their paths.

    Args:
        folder: the folder; hidden files and folders in it are skipped.
        suffixes: in small letters.
        others: counts the suffixes of the other files.

    Raises:
        DataError: something with such a suffix is not a file.
    """
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if is_hidden(entry):
            continue
        suffix = os.path.splitext(entry.name)[1].lower().removesuffix(".")  # a Path takes five times as long
        if entry.is_dir():
            if not entry.is_symlink():
                yield from files_in(folder / entry.name, suffixes, others)
        elif suffix in suffixes:
            path = folder / entry.name
            yield path if entry.is_file() else regular(path)
        elif others is not None:
            others[suffix] += 1
