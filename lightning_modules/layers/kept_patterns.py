"""Where the values of sparse matrices are, kept for the next product with one like it."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Pattern = TypeVar("Pattern")


class KeptPatterns(Generic[Pattern]):
    """The newest patterns, known by the memory of what they were made from, which they have to hold.

    Args:
        size: number of them.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.of: dict[Hashable, Pattern] = {}

    def found(self, key: Hashable, make: Callable[[], Pattern]) -> Pattern:
        """The pattern, made where it is not kept."""
        pattern = self.of.pop(key, None) or make()
        self.of[key] = pattern  # the newest last
        while len(self.of) > self.size:
            del self.of[next(iter(self.of))]
        return pattern
