"""Cache of what is too large for memory: a file is written once, and token ids are read from it as needed."""

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

from datamodules.errors import DataError
from datamodules.storage.atomic_file import write_file
from datamodules.storage.download import DATA_FOLDER
from datamodules.storage.locks import Lock, exclusive
from datamodules.storage.open_file import OpenFile
from datamodules.storage.permissions import make_folder, share
from datamodules.tokenizing import language, tokens
from datamodules.tokenizing.tokens import Ragged

MIN_CACHED_BYTES = 10**7  # of texts: learning a vocabulary from more takes long
MAX_BYTES = 20 * 10**9  # of all files together; those in use may take more
USED = ".used"  # suffix of the file that a process keeps locked while it uses another
A_DAY = 86_400  # seconds after which it is checked whether such a process was killed
_IN_USE: dict[Path, Lock] = {}


class StoredRagged(Ragged):
    """Sequences of different lengths, end to end in a file.

    Args:
        path: file of all tokens, the length of each sequence, and the number of sequences, all int32.

    Raises:
        DataError: the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = OpenFile(path)
        size, rest = divmod(self.file.size, 4)
        end = 4 * (size - 1)
        count = int.from_bytes(self.file.read(end, end + 4), sys.byteorder, signed=True) if size and not rest else -1
        complete = 0 <= count < size
        lengths = np.frombuffer(self.file.read(end - 4 * count, end), np.int32) if complete else -np.ones(1)
        if lengths.min(initial=0) < 0 or lengths.sum(dtype=np.int64) != size - 1 - count:
            raise DataError(f"{path}: damaged; delete it and run again")
        self.lengths = torch.from_numpy(lengths.astype(np.int64))
        self.start = self.lengths.cumsum(0) - self.lengths

    def gather(self, positions: Tensor) -> Tensor:
        """The tokens at these positions; the file is mapped anew each time, so that pages do not accumulate."""
        return torch.from_numpy(np.frombuffer(self.file.mapped(), np.int32)[positions.numpy()])


def cache_folder() -> Path:
    """Folder of the files: next to the published data sets, or a temporary one if that cannot be written."""
    folder = DATA_FOLDER / "tokens"
    above = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return folder if os.access(above, os.W_OK) else temporary_folder()


def temporary_folder() -> Path:
    """A folder of this user's alone.

    Raises:
        DataError: it was created by another user, who may have put files into it.
    """
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
    folder = Path(tempfile.gettempdir()) / f"tokens-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or (hasattr(os, "getuid") and folder.stat().st_uid != user):
        raise DataError(f"{folder}: belongs to another user; set $TMPDIR to a folder of your own")
    return folder


def written_once(write: Callable[[IO[bytes]], Any], key: Sequence[str], suffix: str) -> Path:
    """A file that the first of several processes writes; it is not removed while this process lives.

    Args:
        write: writes the file; called only if it does not exist.
        key: what its content depends on.
        suffix: suffix of its name.
    """
    return made_once(lambda path: write_file(path, write), key, suffix)


def made_once(make: Callable[[Path], Any], key: Sequence[str], suffix: str) -> Path:
    """As `written_once`, for a file that is too large to be begun again where its writer was killed.

    Args:
        make: gives the file of that path its name when it is complete; what is there before may have the same name
            but for the suffix: no other process touches it meanwhile.
        key: what its content depends on.
        suffix: suffix of its name.
    """
    try:
        return _made_once(cache_folder(), make, key, suffix)
    except PermissionError:  # a file of another user, which neither this user nor the group may read
        return _made_once(temporary_folder(), make, key, suffix)


def _made_once(folder: Path, make: Callable[[Path], Any], key: Sequence[str], suffix: str) -> Path:
    make_folder(folder)
    path = folder / f"{hashlib.sha256(repr(list(key)).encode()).hexdigest()[:32]}{suffix}"
    with exclusive(path.with_suffix(".lock")):
        if not path.exists():
            make(path)
            share(path)
        path.open("rb").close()  # which another user may have written
        if path not in _IN_USE:
            _IN_USE[path] = Lock(folder / f"{path.stem}.{secrets.token_hex(6)}{USED}")
        with suppress(PermissionError):  # another user's
            os.utime(path)  # the time of its last use
    prune(folder)
    return path


@atexit.register
def release() -> None:
    """Let other processes remove the files that this process has used."""
    while _IN_USE:
        _IN_USE.popitem()[1].remove()


def prune(folder: Path) -> None:
    """Remove the least recently used files until MAX_BYTES are left, but none in use."""
    files = []
    for file in folder.iterdir():
        if file.suffix in (".lock", ".held") or file.name.startswith("."):
            continue
        with suppress(FileNotFoundError):  # another process may prune as well
            status = file.stat()
            if file.suffix != USED:
                files.append((status.st_mtime_ns, status.st_size, file))
            elif time.time() - status.st_mtime > A_DAY:
                is_used(file)
    excess = sum(size for _, size, _ in files) - MAX_BYTES
    for _, size, file in sorted(files):
        if excess <= 0:
            return
        with suppress(OSError), closing(Lock(file.with_suffix(".lock"))):
            if not any(is_used(use) for use in folder.glob(f"{file.stem}.*{USED}")):
                file.unlink()
                excess -= size


def is_used(use: Path) -> bool:
    """Whether the process that created this file is still alive; otherwise removes the file."""
    try:
        Lock(use).remove()
    except Timeout:
        return True
    except OSError:  # another user's, or removed meanwhile
        return use.exists()
    return False


def stored(sequences: Iterable[Sequence[int]], key: Sequence[str]) -> StoredRagged:
    """The sequences, from a file that the first of several processes writes.

    Args:
        sequences: token ids; iterated only if there is no such file.
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


def train_once(train: Callable[[Iterable[str]], Tokenizer], texts: Iterable[str], *settings: Any) -> str:
    """The JSON of a tokenizer; on many texts the first of several processes trains it, and later runs read it.

    Args:
        train: trains a tokenizer on texts.
        texts: texts that can be iterated several times; they are read to know them again, unless they have a `key`.
        settings: what it depends on besides.
    """
    key = getattr(texts, "key", None)
    if key is None:
        size, digest = 0, hashlib.sha256()
        for text in texts:
            content = text.encode("utf-8", "surrogatepass")
            digest.update(len(content).to_bytes(8, "little") + content)
            size += len(content)
        if size < MIN_CACHED_BYTES:
            return train(texts).to_str()
        key = [digest.hexdigest()]
    code = hashlib.sha256(b"".join(Path(str(module.__file__)).read_bytes() for module in (tokens, language)))
    full = [*key, code.hexdigest(), tokenizers.__version__, *map(str, settings)]
    path = written_once(lambda file: file.write(train(texts).to_str().encode()), full, ".json")
    return path.read_text(encoding="utf-8")
