"""Work on many rows, shared among processes: threads would wait for one another."""

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from datamodules.errors import DataError
from datamodules.loading.workers import num_cpus, workers

T = TypeVar("T")

MAX_PROCESSES = 8


def in_parallel(work: Callable[[range], T], size: int, together: int, few: int) -> Iterator[T]:
    """What is made of consecutive rows, in their order.

    Args:
        work: makes it of some rows, wherever it is called.
        size: number of rows.
        together: maximum number of rows at once.
        few: number of rows from which on starting processes is worth it.

    Raises:
        DataError: some work did.
    """
    count = min(MAX_PROCESSES, num_cpus()) if size >= few and workers(1) is not None else 0
    loader = DataLoader(
        _Parts(work, size, together),
        batch_size=None,
        num_workers=count,
        multiprocessing_context=workers(count),
        collate_fn=_as_it_is,
        generator=torch.Generator(),  # the global one stays as it is, whether there is something to do or not
    )
    for made, error in loader:
        if error:
            raise DataError(error)
        yield made


class _Parts(Dataset[tuple[T | None, str]], Generic[T]):
    """What is made of each part of the rows, or the error's message."""

    def __init__(self, work: Callable[[range], T], size: int, together: int) -> None:
        self.work = work
        self.rows = range(size)
        self.together = together

    def __len__(self) -> int:
        return -(-len(self.rows) // self.together)

    def __getitem__(self, part: int) -> tuple[T | None, str]:
        try:
            return self.work(self.rows[part * self.together : (part + 1) * self.together]), ""
        except DataError as error:
            return None, str(error)


def _as_it_is(made: Any) -> Any:
    return made
