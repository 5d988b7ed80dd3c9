"""Files that are there complete or not at all."""

import errno
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

# What a network file system answers for a moment, while its server starts again.
PASSING = (errno.EIO, getattr(errno, "ESTALE", errno.EIO))
# What is answered where a folder cannot be synced, or not even opened, as on Windows.
UNSYNCABLE = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EACCES, errno.EPERM)
WAITS = (0.2, 1.0)  # seconds before a second and a third attempt
LONGEST_PREFIX = 40  # characters of a temporary file's name, which has to stay below the file system's limit


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that gets its name when it is complete and synced; if anything fails, the old one stays.

    A new file gets the permissions that the user's umask leaves, and one that is replaced keeps those it has.

    Args:
        path: the name; its folder is made if it is not there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            with suppress(OSError):  # there is no older file, or a file system that keeps no permissions
                temporary.chmod(stat.S_IMODE(path.stat().st_mode))
            state = os.fstat(file.fileno())
        with_retries(lambda: _rename(temporary, path, state))
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    with_retries(lambda: sync_folder(path.parent))


def write_file(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write a file by `whole_file`, and anew where a network file system fails for a moment.

    What could not be synced has to be written again: the system may have dropped it, and would sync nothing.

    Args:
        path: the name.
        write: writes the content; called again for each attempt.
    """

    def attempt() -> None:
        with whole_file(path) as file:
            write(file)

    with_retries(attempt)


def with_retries(attempt: Callable[[], Any]) -> None:
    """Try again, twice, what a network file system refuses for a moment."""
    for wait in WAITS:
        try:
            attempt()
        except OSError as error:
            # On Windows a file that another process, such as a virus scanner, has open cannot be replaced.
            if error.errno not in PASSING and not (os.name == "nt" and isinstance(error, PermissionError)):
                raise
        else:
            return
        time.sleep(wait)
    attempt()


def temporary_path(path: Path) -> Path:
    """A hidden name in the same folder that no other file has."""
    return path.with_name(f".{path.name[:LONGEST_PREFIX]}.{secrets.token_hex(6)}")


def _rename(temporary: Path, path: Path, state: os.stat_result) -> None:
    """Give a file its name, unless a server has done so before it failed; then the file's state tells."""
    try:
        temporary.replace(path)
    except FileNotFoundError:
        if not path.exists() or not os.path.samestat(path.stat(), state):
            raise


def sync_folder(folder: Path) -> None:
    """Have a folder's names survive a power failure, on a file system that can do so."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in UNSYNCABLE:
            raise
