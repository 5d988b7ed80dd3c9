"""The examples of a split, and the loader of their batches."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datamodules.errors import UserError


class Examples(Protocol):
    """A split: indexed by a tensor of positions, it returns a batch."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Tensor) -> Any: ...


class Names(Protocol):
    """Names of examples: texts or paths, which need not be in memory."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[str] | Iterator[Path]: ...


class Rows(Dataset[Any]):
    """Examples as tensors in memory: a batch is one indexing operation.

    Args:
        inputs: (N, …)
        targets: (N, …), or None for predictions; then a batch is the inputs alone.
        index: the rows of this split; all of them by default.
    """

    def __init__(self, inputs: Tensor, targets: Tensor | None = None, index: Tensor | None = None) -> None:
        self.inputs = inputs
        self.targets = targets
        self.index = torch.arange(len(inputs)) if index is None else index

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Tensor) -> Any:
        rows = self.index[index]
        return self.inputs[rows] if self.targets is None else (self.inputs[rows], self.targets[rows])


@dataclass
class Source:
    """A data set as it was read.

    Args:
        size: number of examples.
        labels: class index of each example, where there are classes; splits are stratified by it.
        official: the splits that the data set itself defines, any of train, val and test.
    """

    size: int
    labels: Tensor | None = None
    official: dict[str, Tensor] = field(default_factory=dict)


class Loader(DataLoader[Any]):
    """A loader that resumes where a run was stopped: its sampler reads the position from the trainer's progress.

    It does so when the first batch is requested, not when Lightning creates the iterator: a resumed run has not yet
    restored its progress then, and processes that prefetch would begin with the wrong batch.
    """

    def __iter__(self) -> Any:
        try:
            yield from super().__iter__()
        except UserError as error:
            text, kind = str(error), type(error)
            if not text.startswith(f"Caught {kind.__name__} in DataLoader worker"):
                raise
            line = text.rpartition(f"\n{kind.__module__}.{kind.__qualname__}: ")[2].strip()  # below its traceback
            raise kind(line) from error

    def first_epoch(self) -> "Loader":
        """A loader of the batches that the first epoch began with, which leaves this one's epoch as it is."""
        sampler = copy.copy(self.sampler)
        sampler.position = lambda: self.sampler.position()._replace(begun=0)  # type: ignore[attr-defined]
        return Loader(
            self.dataset,
            batch_size=None,
            sampler=sampler,
            num_workers=self.num_workers,
            multiprocessing_context=self.multiprocessing_context,
            pin_memory=self.pin_memory,
        )

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the trainer's progress is all that is needed."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to restore."""
