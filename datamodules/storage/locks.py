"""Locks between processes: they end with the process that holds them, on any system and any file system."""

import errno
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import SoftFileLock, Timeout, lock_descriptor

from datamodules.files.paths import regular
from datamodules.storage.permissions import share

# What is answered by a file system without locks: Lustre that is mounted without them, some NFS and FUSE.
NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
SOON = 0.3  # seconds in which a marker that a killed process left behind is recognised
EVERY = 0.05  # seconds between two attempts
LONG = 30  # seconds after which it is said what is waited for


class Lock:
    """A lock that this process holds, until `close` or its end.

    A forked process that inherits it only closes its own copy of the file.

    Args:
        path: the file that is locked.

    Raises:
        Timeout: another process holds it.
        OSError: the file cannot be opened.
        DataError: it is no file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.process = os.getpid()
        self.marker: SoftFileLock | None = None
        is_new = not path.exists()
        if not is_new:
            regular(path)
        try:
            self.file = path.open("a+", encoding="utf-8")
        except PermissionError:  # another user's, which can be locked all the same
            self.file = path.open(encoding="utf-8")
        if is_new:
            share(path)
        try:
            self._take()
        except BaseException:
            self.file.close()
            raise

    def _take(self) -> None:
        try:
            if not lock_descriptor(self.file.fileno(), blocking=False):
                raise Timeout(str(self.path))
        except OSError as error:
            if isinstance(error, Timeout) or error.errno not in NO_LOCKS:
                raise
            self.marker = SoftFileLock(marker_of(self.path), timeout=SOON, thread_local=False)
            self.marker.acquire()

    def close(self) -> None:
        """Give it back."""
        self.file.close()
        if self.marker is not None and os.getpid() == self.process:
            self.marker.release()

    def remove(self) -> None:
        """Give it back, and remove the file."""
        self.close()
        if os.getpid() == self.process:
            with suppress(OSError):
                self.path.unlink()


def marker_of(path: Path) -> Path:
    """The file whose existence is the lock, where the file system has no others; it names a process and a host.

    One that a killed process left is replaced if that was on this host. Of another host nobody can know.
    """
    return path.with_name(f"{path.name}.held")


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Within this, be the only process of those that ask for the same file; wait for it.

    Args:
        path: of a file for the lock; it stays.
    """
    say_at = time.monotonic() + LONG
    while True:
        try:
            lock = Lock(path)
            break
        except Timeout:
            if time.monotonic() > say_at:
                say_at = math.inf
                print(f"note: {path}: waiting for another process{if_gone(path)}", file=sys.stderr, flush=True)
            time.sleep(EVERY)
    try:
        yield
    finally:
        lock.close()


def if_gone(path: Path) -> str:
    """What to do about a lock whose holder cannot be asked whether it is still there."""
    marker = marker_of(path)
    return f"; if there is none, on any host, remove {marker}" if marker.exists() else ""
