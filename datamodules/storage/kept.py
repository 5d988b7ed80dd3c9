"""What was read from a user's files, kept for later runs: arrays and plain facts in one file, verified by a digest."""

import json
import mmap
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import IO, Any, NamedTuple

import numpy as np
from lightning.pytorch.utilities import rank_zero_only
from numpy.typing import NDArray
from xxhash import xxh3_64

from datamodules.storage.atomic_file import DENIED, write_file
from datamodules.storage.cache_files import made_once

MIN_BYTES = 10**6  # of files: to read fewer takes no longer than to find what was kept
SUFFIX = ".kept"
ALIGNED = 64  # bytes; arrays begin at multiples of it
WORD = 8  # bytes of a length and of the digest
AT_ONCE = 1000  # files whose states are asked for together
THREADS = 16  # a network disk has a high latency


class Kept(NamedTuple):
    """What was read.

    Args:
        arrays: by their names.
        facts: what JSON can represent.
    """

    arrays: dict[str, NDArray[Any]]
    facts: Any = None


class States(NamedTuple):
    """What tells files from others without reading them.

    Args:
        digest: of the name, size, inode, and times of modification and change of each. An edit that restores the size
            and the time of modification still changes the other time; a copy, or chmod, has another digest, too.
        size: bytes of all files.
    """

    digest: str
    size: int


def states_of(paths: Iterable[Path | bytes], root: Path) -> States:
    """The states of files, which are not read.

    Args:
        paths: of the files, in a deterministic order.
        root: the folder that most of them are in, or the only file.
    """
    digest, size, rest = xxh3_64(os.fsencode(root.resolve())), 0, map(os.fsencode, paths)
    base = os.fsencode(root)
    with ThreadPoolExecutor(THREADS) as pool:
        while some := list(islice(rest, THREADS * AT_ONCE)):
            parts = [some[start : start + AT_ONCE] for start in range(0, len(some), AT_ONCE)]
            found = np.array([each for part in pool.map(_states, parts) for each in part], np.uint64)
            digest.update(b"\0".join(path.removeprefix(base) for path in some))
            digest.update(found.data)
            size += int(found[:, 0].sum())
    return States(digest.hexdigest(), size)


def _states(paths: list[bytes]) -> list[tuple[int, int, int, int]]:
    return [(each.st_size, each.st_ino, each.st_mtime_ns, each.st_ctime_ns) for each in map(os.stat, paths)]


def code_of(*modules: ModuleType) -> str:
    """A digest of the source of modules, on which what they compute depends."""
    digest = xxh3_64()
    for module in modules:
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()


def kept(make: Callable[[], Kept], key: Sequence[object], size: int) -> Kept:
    """What was made once, from a file that the first of several processes writes; others map it into memory.

    A damaged file is written again. Where none can be written, everything is made each time, and that is told.

    Args:
        make: makes it; called only if there is no such file, or the file is damaged.
        key: what it depends on: the content or the states of files, settings, code.
        size: bytes of the files that it is made from; of few nothing is kept, nor if it is 0, where they are unknown.
    """
    if not size or size < MIN_BYTES:
        return _plain(make())
    made: list[Kept] = []

    def write(path: Path) -> None:
        if not made:  # in the folder of another user
            made.append(_plain(make()))
        write_file(path, lambda file: _write(file, made[0]))

    texts = [*map(str, key)]
    try:
        path = made_once(write, texts, SUFFIX)
        if made:
            return made[0]
        if (found := read_kept(path)) is None:
            path.unlink(missing_ok=True)
            found = read_kept(made_once(write, texts, SUFFIX))
    except OSError as error:
        if error.errno not in DENIED:
            raise
        if getattr(rank_zero_only, "rank", 0) == 0:
            reason = os.strerror(error.errno)
            print(f"note: {error.filename}: what was read is not kept for later runs ({reason})", file=sys.stderr)
        found = None
    return made[0] if made else found or _plain(make())


def read_kept(path: Path) -> Kept | None:
    """What a file holds, mapped into memory; None if it is damaged. What is written into the arrays is not kept."""
    with suppress(ValueError, LookupError, TypeError, RecursionError), path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        if xxh3_64(memoryview(content)[:-WORD]).digest() != content[-WORD:]:
            return None
        end = len(content) - 2 * WORD
        header = json.loads(content[end - int.from_bytes(content[end : end + WORD], "little") : end])
        arrays = {
            name: np.frombuffer(content, type_, int(np.prod(shape)), start).reshape(shape)
            for name, type_, shape, start in header["arrays"]
        }
        return Kept(arrays, header["facts"])
    return None


def _write(file: IO[bytes], made: Kept) -> None:
    """The arrays, where each of them is, and a digest of all that."""
    digest, places, position = xxh3_64(), [], 0

    def write(part: Any) -> None:
        digest.update(part)
        file.write(part)

    for name, array in made.arrays.items():
        values = np.ascontiguousarray(array)
        places.append([name, values.dtype.str, values.shape, position])
        write(values.reshape(-1).view(np.uint8).data)
        write(bytes(-values.nbytes % ALIGNED))
        position += values.nbytes + -values.nbytes % ALIGNED
    header = json.dumps({"arrays": places, "facts": made.facts}).encode()
    write(header + len(header).to_bytes(WORD, "little"))
    file.write(digest.digest())


def _plain(made: Kept) -> Kept:
    """The same with its facts as a file would give them back, such as lists in place of tuples."""
    return Kept(made.arrays, json.loads(json.dumps(made.facts)))
