"""How far work on large data is, on the error stream."""

import io
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any, Protocol, TypeVar

import pyarrow as pa
from lightning.pytorch.utilities import rank_zero_only

T = TypeVar("T")

QUIET = 1.0  # seconds in which nothing is shown
EVERY = 0.5  # seconds between two lines on a terminal, each in place of the one before
EVERY_IN_A_FILE = 60.0
BUFFER = 1 << 18  # bytes that are read at once


class Positioned(Protocol):
    """A file, or a stream."""

    def tell(self) -> int:
        """How far it has been read."""


class Progress:
    """A line on the error stream: what is done, how much of it, how fast, and for how long to go on.

    Args:
        what: in words.
        total: bytes in all, or how many of another unit.
        done: of them, what was done before.
        unit: of the total; `MB` are counted in bytes.
    """

    def __init__(self, what: str, total: int, done: int = 0, unit: str = "MB") -> None:
        self.what = what
        self.total = total
        self.unit = unit
        self.done = self.before = done
        self.begun = time.monotonic()
        self.on_terminal = sys.stderr.isatty()
        self.every = EVERY if self.on_terminal else EVERY_IN_A_FILE
        self.next = self.begun + (QUIET if self.on_terminal else EVERY_IN_A_FILE)
        self.is_shown = getattr(rank_zero_only, "rank", 0) == 0
        self.width = 0

    def add(self, size: int) -> None:
        """So many more are done."""
        self.done += size
        now = time.monotonic()
        if self.is_shown and now >= self.next and self.done < self.total:
            self.next = now + self.every
            self._show(self._line(now - self.begun))

    def end(self) -> None:
        """Remove the line from a terminal."""
        if self.width and self.on_terminal:
            print("\r" + " " * self.width + "\r", end="", file=sys.stderr, flush=True)

    def _line(self, seconds: float) -> str:
        rate = (self.done - self.before) / max(seconds, 1e-9)
        left = max(self.total - self.done, 0) / max(rate, 1.0)
        part = min(self.done / max(self.total, 1), 1)
        if self.unit != "MB":
            done = f"{part:.0%} of {self.total:,} {self.unit}, {rate:,.0f} a second"
            return f"{self.what}: {done}, {_duration(left)} to go"
        return f"{self.what}: {part:.0%} of {self.total / 1e6:,.0f} MB, {rate / 1e6:.1f} MB/s, {_duration(left)} to go"

    def _show(self, line: str) -> None:
        if self.on_terminal:
            print("\r" + line.ljust(self.width), end="", file=sys.stderr, flush=True)
            self.width = len(line)
        else:
            print(line, file=sys.stderr, flush=True)


def shown_items(items: Iterable[T], what: str, total: int, unit: str) -> Iterator[T]:
    """The same items, while it is shown how many of them were taken.

    Args:
        items: any.
        what: is done with them, in words.
        total: how many there are.
        unit: what they are.
    """
    progress = Progress(what, total, unit=unit)
    try:
        for item in items:
            yield item
            progress.add(1)
    finally:  # where an item is refused, too
        progress.end()


class _Reads(io.RawIOBase):
    """A stream, of which it is shown how far a file has been read."""

    def __init__(self, stream: pa.NativeFile, file: Positioned, progress: Progress) -> None:
        self.stream = stream
        self.file = file
        self.progress = progress

    def readable(self) -> bool:
        return True

    def readinto(self, block: Any) -> int:
        size: int = self.stream.readinto(block)
        self.progress.add(self.file.tell() - self.progress.done)
        return size


@contextmanager
def shown_reads(stream: pa.NativeFile, what: str, packed: IO[bytes] | None = None) -> Iterator[IO[bytes]]:
    """The same stream, of which it is shown how much is read.

    Args:
        stream: of bytes.
        what: in words.
        packed: the file that the stream unpacks, where it does: how much is in it is not known before its end.
    """
    progress = Progress(what, stream.size() if packed is None else os.fstat(packed.fileno()).st_size)
    try:
        yield io.BufferedReader(_Reads(stream, packed or stream, progress), BUFFER)
    finally:
        progress.end()


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
