"""The folder of what was computed from data once: each file is written by the first of several processes."""

import atexit
import getpass
import hashlib
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, Any

from filelock import Timeout

from datamodules.errors import DataError
from datamodules.storage.atomic_file import write_file
from datamodules.storage.download import DATA_FOLDER
from datamodules.storage.locks import Lock, exclusive
from datamodules.storage.permissions import make_folder, share

MAX_BYTES = 20 * 10**9  # of all files together; those in use may take more
USED = ".used"  # suffix of the file that a process keeps locked while it uses another
A_DAY = 86_400  # seconds after which it is checked whether such a process was killed
_IN_USE: dict[Path, Lock] = {}


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
