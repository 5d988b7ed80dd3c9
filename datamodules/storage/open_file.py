"""A file that stays readable after its name is removed."""

import mmap
import os
import weakref
from pathlib import Path


class OpenFile:
    """A file held open for as long as this object lives; where it is pickled to, it is opened by its name again.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self._descriptor)

    def __reduce__(self) -> tuple[type["OpenFile"], tuple[Path]]:
        return OpenFile, (self.path,)

    @property
    def size(self) -> int:
        """Bytes in it."""
        return os.fstat(self._descriptor).st_size

    def read(self, start: int, end: int) -> bytes:
        """The bytes between two positions; moves no position, which forked processes would share."""
        if hasattr(os, "pread"):
            return os.pread(self._descriptor, end - start, start)
        os.lseek(self._descriptor, start, os.SEEK_SET)  # on Windows, where nothing is forked
        return os.read(self._descriptor, end - start)

    def mapped(self) -> mmap.mmap:
        """Its bytes, read as they are accessed; it must not be empty."""
        return mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ)
