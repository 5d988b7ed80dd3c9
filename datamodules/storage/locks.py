"""Locks between processes, which end with their process on any system and file system."""

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

# Errors of a file system without locks: Lustre that is mounted without them, some NFS and FUSE.
NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
MARKER_TIMEOUT = 0.3  # seconds in which the marker of a killed process is recognised
POLL_INTERVAL = 0.05  # seconds between two attempts
NOTE_AFTER = 30  # seconds of waiting before a note


class Lock:
    """A lock that this process holds until `close` or its end.

    A forked process that inherits it only closes its own copy of the file.

    Args:
        path: file to lock.

    Raises:
        Timeout: another process holds the lock.
        OSError: the file cannot be opened.
        DataError: it is not a file.
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
        except PermissionError:  # another user's, which can still be locked
            if is_new:
                raise
            self.file = path.open(encoding="utf-8")
        if is_new:
            share(path)
        try:
            self._acquire()
        except BaseException:
            self.file.close()
            raise

    def _acquire(self) -> None:
        try:
            if not lock_descriptor(self.file.fileno(), blocking=False):
                raise Timeout(str(self.path))
        except OSError as error:
            if isinstance(error, Timeout):
                raise
            if error.errno not in NO_LOCKS:
                error.filename = str(self.path)
                raise
            self.marker = SoftFileLock(marker_of(self.path), timeout=MARKER_TIMEOUT, thread_local=False)
            self.marker.acquire()

    def close(self) -> None:
        """Release the lock."""
        self.file.close()
        if self.marker is not None and os.getpid() == self.process:
            self.marker.release()

    def remove(self) -> None:
        """Release the lock and remove the file."""
        self.close()
        if os.getpid() == self.process:
            with suppress(OSError):
                self.path.unlink()


def marker_of(path: Path) -> Path:
    """The file whose existence is the lock if the file system has no locks; it contains a process and a host.

    The marker of a killed process is replaced if this was on the same host; of another host it cannot be known.
    """
    return path.with_name(f"{path.name}.held")


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock of a file; wait while another process has it.

    Args:
        path: file to lock, which is kept.
    """
    note_at = time.monotonic() + NOTE_AFTER
    while True:
        try:
            lock = Lock(path)
            break
        except Timeout:
            if time.monotonic() > note_at:
                note_at = math.inf
                print(f"note: {path}: waiting for another process{if_gone(path)}", file=sys.stderr, flush=True)
            time.sleep(POLL_INTERVAL)
    try:
        yield
    finally:
        lock.close()


def if_gone(path: Path) -> str:
    """What to do about a lock of a process that may not exist any more."""
    marker = marker_of(path)
    return f"; if there is none, on any host, remove {marker}" if marker.exists() else ""
