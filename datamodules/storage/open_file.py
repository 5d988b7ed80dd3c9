"""A file that stays readable after its name is removed."""

import mmap
import os
import weakref
from pathlib import Path


class OpenFile:
    """A file that is open as long as this object lives; unpickling opens it again by its name.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self._descriptor)

    def __reduce__(self) -> tuple[type["OpenFile"], tuple[Path]]:
        return OpenFile, (self.path,)

    @property
    def size(self) -> int:
        """Size of the file in bytes."""
        return os.fstat(self._descriptor).st_size

    def read(self, start: int, end: int) -> bytes:
        """The bytes between two positions; does not seek, as forked processes share the file's position."""
        if hasattr(os, "pread"):
            return os.pread(self._descriptor, end - start, start)
        os.lseek(self._descriptor, start, os.SEEK_SET)  # on Windows, which does not fork
        return os.read(self._descriptor, end - start)

    def mapped(self) -> mmap.mmap:
        """A memory map of the file, which must not be empty."""
        return mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ)
