"""Rows too large together for memory: written to a file once, and read from it as they are needed."""

import hashlib
import json
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.errors import DataError
from datamodules.storage.cache_files import written_once
from datamodules.storage.open_file import OpenFile
from datamodules.storage.token_cache import stored

T = TypeVar("T")

BATCH_SIZE = 100  # rows that are read together in a pass over all of them


class StoredRows(Generic[T]):
    """Rows in files, each a line of JSON that is read when it is accessed; a file's last line has its notes.

    Arrow files were tried instead: mapped, they count as memory of the process, and one flipped bit may crash it;
    read in batches and validated, random access takes twice the time.

    Args:
        paths: files whose rows follow one another.
        from_json: returns the row of a JSON value.
    """

    def __init__(self, paths: Sequence[Path], from_json: Callable[[Any], T]) -> None:
        self.files = [OpenFile(path) for path in paths]
        self.from_json = from_json
        self.notes: list[str] = []  # what was told when the rows were read from a user's files
        lengths = array("q")
        self.first = [0]  # row of each file
        for file in self.files:
            with file.path.open("rb") as lines:
                lengths.extend(map(len, lines))
            last = lengths.pop() if len(lengths) > self.first[-1] else 0
            self.notes += _from_line(file.read(file.size - last, file.size), _as_notes, file.path)
            self.first.append(len(lengths))
        self.ends = np.concatenate([[0], np.cumsum(lengths)])  # as if all were one file

    @property
    def key(self) -> list[str]:
        """What the rows depend on: other content has another key."""
        return [file.path.stem for file in self.files]

    def __len__(self) -> int:
        return self.first[-1]

    def __getitem__(self, index: int) -> T:
        index = range(len(self))[index]
        part = bisect_right(self.first, index) - 1
        return _from_line(self._read(part, index, index + 1), self.from_json, self.files[part].path)

    def __iter__(self) -> Iterator[T]:
        for part, (first, end) in enumerate(pairwise(self.first)):
            for start in range(first, end, BATCH_SIZE):
                for line in self._read(part, start, min(start + BATCH_SIZE, end)).splitlines():
                    yield _from_line(line, self.from_json, self.files[part].path)

    def _read(self, part: int, first: int, end: int) -> bytes:
        """The lines of consecutive rows in one of the files."""
        start, stop = (int(self.ends[row] - self.ends[self.first[part]]) for row in (first, end))
        return self.files[part].read(start, stop)


Rows = list[T] | StoredRows[T]


def stored_rows(
    rows: Iterable[T], key: Sequence[str], from_json: Callable[[Any], T], notes: Sequence[str] = ()
) -> StoredRows[T]:
    """The rows, from a file that the first of several processes writes.

    Args:
        rows: JSON values, or objects with attributes; iterated only if there is no such file.
        key: what they depend on.
        from_json: returns the row of a JSON value: of the list of its attributes, if it has any.
        notes: what is told about them, complete once they are iterated.
    """

    def write(file: IO[bytes]) -> None:
        for row in rows:
            file.write(as_json(row) + b"\n")
        file.write(as_json(list(notes)) + b"\n")

    return StoredRows([written_once(write, key, ".jsonl")], from_json)


def concatenated(parts: Sequence[Rows[T]]) -> Rows[T]:
    """The rows of all parts, which are all in memory or none."""
    large = [part for part in parts if isinstance(part, StoredRows)]
    if large:
        return StoredRows([file.path for part in large for file in part.files], large[0].from_json)
    return [row for part in parts for row in part]


def as_json(value: Any) -> bytes:
    """A value as JSON; what has attributes is the list of these."""
    text = json.dumps(value, ensure_ascii=False, default=lambda row: list(vars(row).values()))
    return text.encode("utf-8", "surrogatepass")


def _from_line(line: bytes, from_json: Callable[[Any], T], path: Path) -> T:
    try:
        return from_json(json.loads(line))
    except (ValueError, LookupError, TypeError, RecursionError):
        raise DataError(f"{path}: damaged; delete it and run again") from None


def _as_notes(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(note, str) for note in value):
        raise ValueError("expected notes")
    return value


def split_indices(sizes: dict[str, int]) -> dict[str, Tensor]:
    """The indices of each split's rows among all of them; none of those under an empty name."""
    indices, start = {}, 0
    for split, size in sizes.items():
        if split:
            indices[split] = torch.arange(start, start + size)
        start += size
    return indices


class LazyExamples(Dataset[Any]):
    """Examples too large together for memory: those of a batch are created from their rows when it is loaded.

    Args:
        make: returns the examples at some indices, with their lengths; indexing these returns a batch.
        index: the rows of this split.
        key: what the lengths depend on besides.
    """

    def __init__(self, make: Callable[[Tensor], Any], index: Tensor, key: Sequence[str]) -> None:
        self.make = make
        self.index = index
        self.key = [*key, hashlib.sha256(index.numpy().tobytes()).hexdigest()]

    @cached_property
    def lengths(self) -> Tensor:
        """(N,) length of each example; computing them makes all examples once."""
        batches = self.index.split(BATCH_SIZE)
        lengths = (self.make(index).lengths.tolist() for index in batches)
        return stored(lengths, self.key).joined(torch.arange(len(batches))).long()

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Tensor) -> Any:
        return self.make(self.index[index])[torch.arange(len(index))]
