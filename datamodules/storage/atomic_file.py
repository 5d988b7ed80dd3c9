"""Files that are written completely or not at all."""

import errno
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

# Errors of a network file system while its server restarts.
TRANSIENT_ERRORS = (errno.EIO, getattr(errno, "ESTALE", errno.EIO))
# Errors where a folder cannot be synced, or not even opened, as on Windows.
UNSYNCABLE = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EACCES, errno.EPERM)
# Errors of a disk or a quota that is full, and of a limit of a file's size.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Errors where a user may not write, or cannot.
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS, *FULL)
WAITS = (0.2, 1.0)  # seconds before a second and a third attempt
MAX_PREFIX = 40  # characters of a temporary file's name, which has to be within the file system's limit


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that gets its name when it is complete and synced; if anything fails, the old one is kept.

    A new file gets permissions by the user's umask; one that is replaced keeps its own.

    Args:
        path: file to write; its folder is created if it does not exist.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, complete = temporary_path(path), False
    try:
        with temporary.open("xb") as file:
            yield file
            complete = True
            file.flush()
            os.fsync(file.fileno())
            with suppress(OSError):  # no older file, or a file system without permissions
                temporary.chmod(stat.S_IMODE(path.stat().st_mode))
            state = os.fstat(file.fileno())
        with_retries(lambda: _rename(temporary, path, state))
    except BaseException as error:
        of_file = isinstance(error, OSError) and (error.errno in FULL or str(error.filename) == str(temporary))
        if isinstance(error, OSError) and error.errno is not None and (complete or of_file):
            error.filename = str(path)  # what cannot be written or synced has no name
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    with_retries(lambda: sync_folder(path.parent))


def write_file(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write a file by `atomic_write`, again after a transient error of a network file system.

    What could not be synced has to be written again: the system may have dropped it, and would sync nothing.

    Args:
        path: file to write.
        write: writes the content; called for each attempt.
    """

    def attempt() -> None:
        with atomic_write(path) as file:
            write(file)

    with_retries(attempt)


def with_retries(attempt: Callable[[], Any]) -> None:
    """Retry, up to twice, after a transient error of a network file system."""
    for wait in WAITS:
        try:
            attempt()
        except OSError as error:
            # On Windows a file that another process, such as a virus scanner, has open cannot be replaced.
            if error.errno not in TRANSIENT_ERRORS and not (os.name == "nt" and isinstance(error, PermissionError)):
                raise
        else:
            return
        time.sleep(wait)
    attempt()


def temporary_path(path: Path) -> Path:
    """A unique hidden path in the same folder."""
    return path.with_name(f".{path.name[:MAX_PREFIX]}.{secrets.token_hex(6)}")


def _rename(temporary: Path, path: Path, state: os.stat_result) -> None:
    """Rename a file, unless a server has done so before it failed, which the file's state shows."""
    try:
        temporary.replace(path)
    except FileNotFoundError:
        if not path.exists() or not os.path.samestat(path.stat(), state):
            raise


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power failure, if the file system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in UNSYNCABLE:
            raise
