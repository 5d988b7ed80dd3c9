"""What is too large for memory is written to a file once; token numbers are read from it as they are needed."""

import array
import atexit
import getpass
import hashlib
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import tokenizers
import torch
from filelock import Timeout
from tokenizers import Tokenizer
from torch import Tensor

from datamodules.base import DATA_FOLDER
from datamodules.errors import DataError
from datamodules.storage.atomic_file import write_file
from datamodules.storage.locks import Lock, only_one
from datamodules.storage.open_file import OpenFile
from datamodules.storage.permissions import make_folder, share
from datamodules.tokenizing import tokens
from datamodules.tokenizing.tokens import Ragged

MANY_BYTES = 10**7  # of texts: to learn a vocabulary from more takes long
MOST_BYTES = 20 * 10**9  # of all files together; those in use may be more
USED = ".used"  # ending of the file that a process holds locked while it uses another
A_DAY = 86_400  # seconds after which it is looked whether such a process was killed
_IN_USE: dict[Path, Lock] = {}


class StoredRagged(Ragged):
    """Sequences of different lengths, end to end in a file.

    Args:
        path: of the file: all tokens, the length of each sequence, and the number of sequences, all int32.

    Raises:
        DataError: it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = OpenFile(path)
        size, rest = divmod(self.file.size, 4)
        end = 4 * (size - 1)
        count = int.from_bytes(self.file.read(end, end + 4), sys.byteorder, signed=True) if size and not rest else -1
        whole = 0 <= count < size
        lengths = np.frombuffer(self.file.read(end - 4 * count, end), np.int32) if whole else -np.ones(1)
        if lengths.min(initial=0) < 0 or lengths.sum(dtype=np.int64) != size - 1 - count:
            raise DataError(f"{path}: damaged; delete it and run again")
        self.lengths = torch.from_numpy(lengths.astype(np.int64))
        self.start = self.lengths.cumsum(0) - self.lengths

    def taken(self, places: Tensor) -> Tensor:
        """The tokens at these places; mapped anew each time, so that what was read before does not pile up."""
        return torch.from_numpy(np.frombuffer(self.file.mapped(), np.int32)[places.numpy()])


def cache_folder() -> Path:
    """Where such files are kept: beside the published data sets, or elsewhere if nothing can be written there.

    Raises:
        DataError: elsewhere is a folder that somebody else has made, and may have put files into.
    """
    folder = DATA_FOLDER / "tokens"
    above = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if os.access(above, os.W_OK):
        return folder
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
    folder = Path(tempfile.gettempdir()) / f"tokens-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or (hasattr(os, "getuid") and folder.stat().st_uid != user):
        raise DataError(f"{folder}: belongs to somebody else; set $TMPDIR to a folder of your own")
    return folder


def written_once(write: Callable[[IO[bytes]], Any], key: Sequence[str], suffix: str) -> Path:
    """A file that the first of several processes writes; it is kept while this process lives.

    Args:
        write: called only if there is no such file.
        key: what its content depends on.
        suffix: of its name.
    """
    folder = cache_folder()
    make_folder(folder)
    path = folder / f"{hashlib.sha256(repr(list(key)).encode()).hexdigest()[:32]}{suffix}"
    with only_one(path.with_suffix(".lock")):
        if not path.exists():
            write_file(path, write)
            share(path)
        if path not in _IN_USE:
            _IN_USE[path] = Lock(folder / f"{path.stem}.{secrets.token_hex(6)}{USED}")
        with suppress(PermissionError):  # another user's
            os.utime(path)  # the time of its last use
    prune(folder)
    return path


@atexit.register
def release() -> None:
    """Let others remove what this process has used."""
    while _IN_USE:
        _IN_USE.popitem()[1].remove()


def prune(folder: Path) -> None:
    """Remove the files that have not been used for the longest time until MOST_BYTES are left, but none in use."""
    files = []
    for file in folder.iterdir():
        if file.suffix in (".lock", ".held") or file.name.startswith("."):
            continue
        with suppress(FileNotFoundError):  # another process prunes, too
            status = file.stat()
            if file.suffix != USED:
                files.append((status.st_mtime_ns, status.st_size, file))
            elif time.time() - status.st_mtime > A_DAY:
                is_used(file)
    too_much = sum(size for _, size, _ in files) - MOST_BYTES
    for _, size, file in sorted(files):
        if too_much <= 0:
            return
        with suppress(OSError), closing(Lock(file.with_suffix(".lock"))):
            if not any(is_used(use) for use in folder.glob(f"{file.stem}.*{USED}")):
                file.unlink()
                too_much -= size


def is_used(use: Path) -> bool:
    """Whether the process that made this file is still there; otherwise removes it."""
    try:
        Lock(use).remove()
    except Timeout:
        return True
    except OSError:  # another user's, or gone in this moment
        return use.exists()
    return False


def stored(sequences: Iterable[Sequence[int]], key: Sequence[str]) -> StoredRagged:
    """The sequences, from a file that the first of several processes writes.

    Args:
        sequences: gone through only if there is no such file.
        key: what they depend on.
    """

    def write(file: IO[bytes]) -> None:
        lengths = array.array("i")
        for sequence in sequences:
            file.write(array.array("i", sequence).tobytes())
            lengths.append(len(sequence))
        file.write(lengths.tobytes())
        file.write(array.array("i", [len(lengths)]).tobytes())

    return StoredRagged(written_once(write, key, ".int32"))


def train_once(learn: Callable[[Iterable[str]], Tokenizer], texts: Iterable[str], *settings: Any) -> str:
    """The JSON of a tokenizer; from many texts the first of several processes learns it, and later runs read it.

    Args:
        learn: makes a tokenizer of texts.
        texts: that may be gone through several times.
        settings: what it depends on besides.
    """
    size, digest = 0, hashlib.sha256()
    for text in texts:
        letters = text.encode("utf-8", "surrogatepass")
        digest.update(len(letters).to_bytes(8, "little") + letters)
        size += len(letters)
    if size < MANY_BYTES:
        return learn(texts).to_str()
    code = hashlib.sha256(Path(tokens.__file__).read_bytes())
    key = [digest.hexdigest(), code.hexdigest(), tokenizers.__version__, *map(str, settings)]
    path = written_once(lambda file: file.write(learn(texts).to_str().encode()), key, ".json")
    return path.read_text(encoding="utf-8")
