"""Rows too large together for memory: written to a file once, and read from it as they are needed."""

import hashlib
import json
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain, pairwise
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.errors import DataError
from datamodules.files.text_files import is_large, state_of
from datamodules.storage.open_file import OpenFile
from datamodules.storage.token_cache import stored, written_once

T = TypeVar("T")
E = TypeVar("E")

AT_ONCE = 100  # examples that are made together where only their lengths are wanted


class StoredRows(Generic[T]):
    """Rows in files, each a line of JSON that is read when it is asked for.

    Args:
        paths: the files, whose rows follow one another.
        made: makes a row of its JSON value.
    """

    def __init__(self, paths: Sequence[Path], made: Callable[[Any], T]) -> None:
        self.files = [OpenFile(path) for path in paths]
        self.made = made
        lengths = array("q")
        self.first = [0]  # row of each file
        for path in paths:
            with path.open("rb") as file:
                lengths.extend(map(len, file))
            self.first.append(len(lengths))
        self.ends = np.concatenate([[0], np.cumsum(lengths)])  # as if all were one file

    @property
    def key(self) -> list[str]:
        """What the rows depend on: other content has another key."""
        return [file.path.stem for file in self.files]

    def __len__(self) -> int:
        return self.first[-1]

    def __getitem__(self, number: int) -> T:
        number = range(len(self))[number]
        part = bisect_right(self.first, number) - 1
        return self._row(self._read(part, number, number + 1), self.files[part].path)

    def __iter__(self) -> Iterator[T]:
        for part, (first, end) in enumerate(pairwise(self.first)):
            for start in range(first, end, AT_ONCE):
                for line in self._read(part, start, min(start + AT_ONCE, end)).splitlines():
                    yield self._row(line, self.files[part].path)

    def _read(self, part: int, first: int, end: int) -> bytes:
        """Rows that follow one another in one of the files."""
        start, stop = (int(self.ends[row] - self.ends[self.first[part]]) for row in (first, end))
        return self.files[part].read(start, stop)

    def _row(self, line: bytes, path: Path) -> T:
        try:
            return self.made(json.loads(line))
        except (ValueError, LookupError, TypeError, RecursionError):
            raise DataError(f"{path}: damaged; delete it and run again") from None


def stored_rows(rows: Iterable[T], key: Sequence[str], made: Callable[[Any], T]) -> StoredRows[T]:
    """The rows, from a file that the first of several processes writes.

    Args:
        rows: what JSON knows, or objects with attributes; gone through only if there is no such file.
        key: what they depend on.
        made: makes a row of its JSON value: of the list of its attributes, if it has any.
    """

    def write(file: IO[bytes]) -> None:
        for row in rows:
            line = json.dumps(row, ensure_ascii=False, default=lambda made: list(vars(made).values()))
            file.write(line.encode("utf-8", "surrogatepass") + b"\n")

    return StoredRows([written_once(write, key, ".jsonl")], made)


def joined(parts: Sequence[list[T] | StoredRows[T]]) -> list[T] | StoredRows[T]:
    """The rows of one part after the other, all in memory or none."""
    large = [part for part in parts if isinstance(part, StoredRows)]
    if large:
        return StoredRows([file.path for part in large for file in part.files], large[0].made)
    return [row for part in parts for row in part]


def read_rows(
    files: dict[str, list[Path]],
    read: Callable[..., Iterable[T]],
    options: Sequence[object],
    made: Callable[[Any], T],
    times: int = 1,
) -> tuple[list[T] | StoredRows[T], dict[str, Tensor]]:
    """The rows of files, which are held in memory unless the files are too large for that.

    Args:
        files: of each split, or of all of them under an empty name.
        read: takes the files of a split and reads its rows.
        options: what these depend on besides the files.
        made: as for `stored_rows`.
        times: as for `is_large`.

    Returns:
        All rows, and the positions of each split's.
    """
    large = is_large(chain.from_iterable(files.values()), times)
    parts: dict[str, list[T] | StoredRows[T]] = {}
    for split, paths in files.items():
        key = [*map(state_of, paths), *map(str, options)]
        parts[split] = stored_rows(read(*paths), key, made) if large else list(read(*paths))
    official, start = {}, 0
    for split, part in parts.items():
        if split:
            official[split] = torch.arange(start, start + len(part))
        start += len(part)
    return joined(list(parts.values())), official


class MadeAsNeeded(Dataset[Any]):
    """Examples too large together for memory: those of a batch are made of their rows when it is wanted.

    Args:
        make: the examples at some positions; they have lengths, and answer positions among them with a batch.
        index: the positions that make this split.
        key: what the lengths depend on besides.
    """

    def __init__(self, make: Callable[[Tensor], Any], index: Tensor, key: Sequence[str]) -> None:
        self.make = make
        self.index = index
        self.key = [*key, hashlib.sha256(index.numpy().tobytes()).hexdigest()]

    @cached_property
    def lengths(self) -> Tensor:
        """(N,) of each example; all have to be made once to know them."""
        some = self.index.split(AT_ONCE)
        lengths = (self.make(positions).lengths.tolist() for positions in some)
        return stored(lengths, self.key).joined(torch.arange(len(some))).long()

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Tensor) -> Any:
        return self.make(self.index[index])[torch.arange(len(index))]


def examples_of(
    rows: list[T] | StoredRows[T], make: Callable[[Tensor], E], index: Tensor, key: Sequence[str]
) -> E | MadeAsNeeded:
    """Examples of rows at some positions: made now if the rows are in memory, and otherwise as they are needed."""
    return MadeAsNeeded(make, index, [*rows.key, *key]) if isinstance(rows, StoredRows) else make(index)
