"""What distinguishes data from other data: a short digest of each part, of its content and not of its storage."""

import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from xxhash import xxh3_64

AT_ONCE = 1000  # texts or files that are hashed together
MAX_LISTED = 8  # parts that a message names
CHUNK = 2**20
THREADS = 16  # a network disk has a high latency
EXAMPLES = "examples"  # the part that is a count, not a digest
FILES, TIMES, CONTENTS = "files", "modification times of files", "contents of files"
SPLIT, LEARNED = " split", "learned "  # suffix and prefix of the names of parts that follow from the others


def hash_numbers(*arrays: Tensor | np.ndarray[Any, Any]) -> str:
    """A digest of numbers, their types and their shapes."""
    digest = xxh3_64()
    for array in arrays:
        values = np.ascontiguousarray(array.detach().numpy() if isinstance(array, Tensor) else array)
        digest.update(f"{values.dtype} {values.shape}".encode())
        digest.update(values.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def hash_texts(texts: Iterable[str]) -> str:
    """A digest of texts, which need not be in memory."""
    digest, rest = xxh3_64(), iter(texts)
    while some := list(islice(rest, AT_ONCE)):
        digest.update(np.fromiter(map(len, some), np.int64, len(some)).data)
        digest.update("".join(some).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def hash_labels(names: Sequence[str], codes: Tensor) -> str:
    """A digest of the name of each example's class, whatever the order of the classes.

    Args:
        names: of all classes.
        codes: (N,) each example's class index.
    """
    used = sorted(torch.bincount(codes).nonzero()[:, 0].tolist(), key=lambda code: names[code])
    rank = torch.zeros(len(names), dtype=torch.long)
    rank[used] = torch.arange(len(used))
    return hash_texts([*(names[code] for code in used), hash_numbers(rank[codes])])


def hash_state(value: Any) -> str:
    """A digest of fitted state, without floating point numbers: their last bits depend on the machine."""
    plain = json.dumps(_discrete(value), sort_keys=True, default=lambda other: type(other).__name__)
    return xxh3_64(plain.encode()).hexdigest()


def _discrete(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _discrete(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_discrete(item) for item in value]
    if isinstance(value, Tensor):
        return None if value.is_floating_point() else value.tolist()
    return None if isinstance(value, float) else value


def hash_object(value: Any) -> str:
    """A digest of all tensors, arrays, texts and integers in an object, at any depth."""
    if isinstance(value, Tensor):
        parts = value.to_sparse_coo().coalesce() if value.layout != torch.strided else value
        return hash_numbers(parts.indices(), parts.values()) if parts.is_sparse else hash_numbers(parts)
    if isinstance(value, np.ndarray):
        return hash_numbers(value)
    if isinstance(value, dict):
        return hash_texts(text for key, item in value.items() for text in (str(key), hash_object(item)))
    if isinstance(value, list | tuple):
        return hash_texts(map(hash_object, value))
    if hasattr(value, "__dict__"):
        return hash_object(vars(value))
    return hash_texts([str(value)] if isinstance(value, str | int | float | bytes | os.PathLike) else [])


def of_files(files: Iterable[Path], root: Path, contents: Sequence[int] | None = None) -> dict[str, str]:
    """Digests of many files that are not read: of their names, sizes and modification times.

    Names are relative, and times in full seconds: a copy elsewhere is the same data if it kept the times.

    Args:
        files: in a deterministic order.
        root: folder or file that the user named.
        contents: from `content_digests`, if they are to be included.
    """
    base = os.fsencode(root if root.is_dir() else root.parent) + os.sep.encode()
    names, times = xxh3_64(), xxh3_64()
    rest = map(os.fsencode, files)
    with ThreadPoolExecutor(THREADS) as pool:
        while paths := list(islice(rest, THREADS * AT_ONCE)):
            parts = [paths[start : start + AT_ONCE] for start in range(0, len(paths), AT_ONCE)]
            status = np.array([each for part in pool.map(_status, parts) for each in part], np.int64)
            names.update(b"\0".join(path.removeprefix(base) for path in paths))
            names.update(np.ascontiguousarray(status[:, 0]).data)
            times.update(np.ascontiguousarray(status[:, 1]).data)
    found = {FILES: names.hexdigest(), TIMES: times.hexdigest()}
    return found if contents is None else found | {CONTENTS: hash_numbers(np.array(contents, np.uint64))}


def _status(paths: list[bytes]) -> list[tuple[int, int]]:
    return [(status.st_size, status.st_mtime_ns // 10**9) for status in map(os.stat, paths)]


def hash_files(files: Sequence[Path]) -> dict[str, str]:
    """A digest of the contents of a few files, which are read several times anyway."""
    return {CONTENTS: hash_numbers(np.array(content_digests(files), np.uint64))}


def content_digests(files: Iterable[Path]) -> list[int]:
    """A digest of the content of each file, all of which are read."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(_content_of, files))


def _content_of(path: Path) -> int:
    digest = xxh3_64()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.intdigest()


def differing(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """The parts in which two fingerprints differ.

    Modification times are ignored for files whose contents both know. Where the number of examples differs, so does
    everything else; and parts that follow from the data are listed only if the data is the same.
    """
    before, now = before.copy(), now.copy()
    if CONTENTS in before and CONTENTS in now:
        before.pop(TIMES, None)
        now.pop(TIMES, None)
    elif TIMES in before and TIMES in now:
        before.pop(CONTENTS, None)
        now.pop(CONTENTS, None)
    names = [name for name in {**now, **before} if before.get(name) != now.get(name)]
    if EXAMPLES in names:
        return [EXAMPLES]
    read = [name for name in names if not name.startswith(LEARNED)]
    return [name for name in read if not name.endswith(SPLIT)] or read or names


def described(before: dict[str, str], now: dict[str, str], then: str = "was") -> str:
    """What differs between two fingerprints, in words; nothing where nothing does.

    Args:
        before: the reference.
        now: the fingerprint that is described.
        then: goes before the number of examples of the reference.
    """
    names = differing(before, now)
    if names == [EXAMPLES]:
        return f"{now[EXAMPLES]} examples ({then} {before[EXAMPLES]})"
    if names == [TIMES]:
        return f"the {TIMES}, though not their names and sizes (a copy, or touch, changes them)"
    gone = {name: " (gone)" if name not in now else " (new)" if name not in before else "" for name in names}
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(f"{name}{gone[name]}" for name in names[:MAX_LISTED]) + more
