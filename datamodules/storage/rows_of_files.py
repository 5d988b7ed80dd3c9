"""The rows of a user's files: in memory and kept for later runs, or read as they are needed if they are too large."""

import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from torch import Tensor
from xxhash import xxh3_64

from datamodules import files as readers
from datamodules.files.splits import Note
from datamodules.storage.kept import Kept, kept, states_of
from datamodules.storage.stored_rows import Rows, as_json, concatenated, split_indices, stored_rows
from datamodules.storage.streaming import is_large

T = TypeVar("T")

THIS_RUN = secrets.token_hex(8)  # no other has it
AT_ONCE = 10_000  # rows that are one value of JSON: a single value of all would be in memory twice


class RowsOfFiles(NamedTuple, Generic[T]):
    """What was read.

    Args:
        rows: of all splits.
        official: the indices of each split's.
        key: what they depend on, which is known without reading them; empty where it is not.
        size: bytes of the files, as far as there is a key.
    """

    rows: Rows[T]
    official: dict[str, Tensor]
    key: list[str]
    size: int


def read_rows(
    files: dict[str, list[Path]],
    read: Callable[..., Iterable[T]],
    options: Sequence[object],
    from_json: Callable[[Any], T],
    code: list[str],
    note: Note,
    times: int = 1,
) -> RowsOfFiles[T]:
    """The rows of files, which are kept in memory unless the files are too large for that.

    Either way later runs read what the first one has made of them, and tell what it has told.

    Args:
        files: files of each split, or of all splits under an empty name.
        read: reads the rows of a split from its files; reports what is unusual by its argument `note`.
        options: what these depend on besides the files.
        from_json: as for `stored_rows`.
        code: of the datamodule; where it is unknown, nothing is kept for later runs.
        note: reports what is unusual.
        times: as for `is_large`.
    """
    large = is_large(chain.from_iterable(files.values()), times)
    parts: dict[str, Rows[T]] = {}
    full: list[str] = []
    size = 0
    for split, paths in files.items():
        states = states_of(paths, paths[0].parent)
        key = ["rows", states.digest, *map(str, paths), *map(str, options), *(code or [THIS_RUN]), code_of_readers()]
        if large:
            told: list[str] = []
            rows = stored_rows(read(*paths, note=told.append), key, from_json, told)
            parts[split], told = rows, rows.notes
        else:
            parts[split], told = _kept_rows(partial(read, *paths), key, states.size if code else 0, from_json)
        for text in told:
            note(text)
        full += key
        size += states.size
    official = split_indices({split: len(part) for split, part in parts.items()})
    return RowsOfFiles(concatenated(list(parts.values())), official, *((full, size) if code else ([], 0)))


def _kept_rows(
    read: Callable[..., Iterable[T]], key: Sequence[str], size: int, from_json: Callable[[Any], T]
) -> tuple[list[T], list[str]]:
    """The rows in memory, and what is told about them."""

    def made() -> Kept:
        told: list[str] = []
        rows = [*read(note=told.append)]
        parts = [as_json(rows[start : start + AT_ONCE]) for start in range(0, len(rows), AT_ONCE)]
        ends = np.cumsum([0, *map(len, parts)])
        return Kept({"rows": np.frombuffer(b"".join(parts), np.uint8), "ends": ends}, told)

    found = kept(made, key, size)
    content, ends = found.arrays["rows"], found.arrays["ends"].tolist()
    parts = (json.loads(content[start:end].tobytes()) for start, end in pairwise(ends))
    return [from_json(row) for part in parts for row in part], found.facts


@cache
def code_of_readers() -> str:
    """A digest of all that reads users' files: rows that other code has read are not taken for those of this code."""
    digest = xxh3_64()
    for file in sorted(Path(str(readers.__file__)).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
