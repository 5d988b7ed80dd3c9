"""What a test has found of each example."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from datamodules.base import DataModule

Column = Tensor | list[Any]
LOSS = "loss"  # the column that says how wrong each prediction is


class Outcomes:
    """A table of what a test has found of each example, in the order of the test split.

    Args:
        positions: (N,) of the examples in the test split.
        columns: of N values each, by name: a tensor (N, …) on the CPU or a list. The more wrong a prediction is, the
            larger is its `loss`.
        data: whose test split it is; None where the examples cannot be read again.
    """

    def __init__(self, positions: Tensor, columns: dict[str, Column], data: DataModule | None = None) -> None:
        self.positions = positions
        self.columns = columns
        self.data = data

    def __len__(self) -> int:
        return len(self.positions)

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> Any:
        return self.columns[name]

    @classmethod
    def joined(
        cls, positions: Sequence[Tensor], parts: Sequence[dict[str, Column]], data: DataModule | None = None
    ) -> "Outcomes":
        """Those of all batches, of all processes, sorted by position.

        Args:
            positions: (B,) of each batch's examples in the test split.
            parts: the columns of each batch.
            data: whose test split it is.
        """
        joined = torch.cat([torch.empty(0, dtype=torch.long), *positions])
        order = joined.argsort()
        columns = {name: _taken(_concatenated([part[name] for part in parts]), order) for name in parts[0]}
        return cls(joined[order], columns, data)

    def worst(self, count: int | None = None) -> Tensor:
        """The rows of the most wrong predictions, worst first; by default of all. NaN is the worst."""
        return self.columns[LOSS].nan_to_num(nan=torch.inf).argsort(descending=True, stable=True)[:count]  # type: ignore[union-attr]

    def take(self, rows: Tensor) -> "Outcomes":
        """Some rows, in the order given."""
        columns = {name: _taken(column, rows) for name, column in self.columns.items()}
        return Outcomes(self.positions[rows], columns, self.data)

    def names(self) -> list[str]:
        """Where each example is from: its file and line, or its path."""
        if self.data is None:
            return [f"example {position + 1}" for position in self.positions.tolist()]
        return self.data.origins(self.data.splits.test[self.positions])

    def inputs(self) -> list[str]:
        """What the model was given of each example, as a text; empty where it can only be named."""
        if self.data is None:
            return [""] * len(self)
        return self.data.inputs_shown(self.data.splits.test[self.positions])

    def batch(self, device: torch.device) -> Any:
        """The examples again, as the model gets them.

        Args:
            device: of the model.

        Raises:
            ValueError: they cannot be read again.
        """
        if self.data is None:
            raise ValueError("these examples cannot be read again")
        batch = self.data.split_examples("test")[self.positions]
        batch = self.data.on_after_batch_transfer(self.data.transfer_batch_to_device(batch, device, 0), 0)
        trainer = self.data.trainer
        return batch if trainer is None else trainer.precision_plugin.convert_input(batch)


def _concatenated(parts: Sequence[Column]) -> Column:
    if isinstance(parts[0], Tensor):
        return torch.cat(list(parts))  # type: ignore[arg-type]
    return [value for part in parts for value in part]


def _taken(column: Column, rows: Tensor) -> Column:
    return column[rows] if isinstance(column, Tensor) else [column[row] for row in rows.tolist()]
