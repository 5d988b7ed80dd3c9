"""Text files too large for memory: which ones are, and texts that are read again at each pass over them."""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

from datamodules.files.delimited import Table

IN_MEMORY = 2**28  # bytes of files that are kept in memory, where texts and tokens take four times as much
PACKED_RATIO = 4  # about how much larger a text is than its `.gz` or `.zst`

T = TypeVar("T")


class Streamed:
    """Texts of files too large for memory, read again at each iteration.

    Args:
        columns: tables and the column of each, one after the other.
    """

    def __init__(self, columns: list[tuple[Table, str]]) -> None:
        self.columns = columns

    def __iter__(self) -> Iterator[str]:
        for table, name in self.columns:
            column = table.names.index(name)
            for _, row in table:
                yield row[column]

    def __len__(self) -> int:
        return self._size

    @cached_property
    def _size(self) -> int:
        return sum(1 for _ in self)

    @property
    def key(self) -> list[str]:
        """What the texts depend on: other content has another key."""
        states = [" ".join(map(file_state, table.paths)) for table, _ in self.columns]
        return [f"{state} {table.names} {name}" for state, (table, name) in zip(states, self.columns, strict=True)]


class Repeatable(Generic[T]):
    """An iterable of an iterator that can be used only once.

    Args:
        make: returns a new iterator, for each iteration.
        key: what it depends on, where that is known without an iteration.
    """

    def __init__(self, make: Callable[[], Iterator[T]], key: list[str] | None = None) -> None:
        self.make = make
        self.key = key

    def __iter__(self) -> Iterator[T]:
        return self.make()


def file_state(path: Path) -> str:
    """A file's path, size and time of modification: other content has another state."""
    stat = path.stat()
    return f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}"


def is_large(files: Iterable[Path], times: int = 1) -> bool:
    """Whether files are too large together for their content to be kept in memory.

    Args:
        files: paths; a `.gz` or `.zst` counts as if it were unpacked.
        times: how much more memory their content takes than plain texts of the same size.
    """
    return times * size_of(files) > IN_MEMORY


def size_of(files: Iterable[Path]) -> int:
    """About how many bytes of text are in files; a `.gz` or `.zst` counts as if it were unpacked."""
    return sum(file.stat().st_size * (PACKED_RATIO if file.suffix in (".gz", ".zst") else 1) for file in files)
