"""Collects what a test finds of each example, of all batches and processes."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from callbacks.run.processes import gathered
from datamodules.base import DataModule
from datamodules.loading.sampling import Batches
from lightning_modules.tasks.results.outcomes import Column, Outcomes
from lightning_modules.tasks.task import OUTCOMES


class CollectOutcomes(Callback):
    """Collects the outcomes that test steps return; in the first process, when the test has ended, there is a table.

    Data whose loader is not this project's own says nothing about the order of its examples: they are numbered as they
    come, and of several processes nothing is collected.
    """

    def __init__(self) -> None:
        self.outcomes: Outcomes | None = None
        self._shards: list[Tensor] | None = None
        self._positions: list[Tensor] = []
        self._parts: list[dict[str, Column]] = []

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an earlier test, and find the order of the examples."""
        self.outcomes, self._positions, self._parts = None, [], []
        loader: Any = trainer.test_dataloaders
        sampler = getattr(loader, "sampler", None)
        self._shards = sampler.shards() if isinstance(sampler, Batches) else None

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *args: Any
    ) -> None:
        """Keep the outcomes of a batch."""
        columns: dict[str, Column] = (outputs or {}).get(OUTCOMES, {}) if isinstance(outputs, dict | None) else {}
        if not columns or (self._shards is None and trainer.world_size > 1):
            return
        size = len(next(iter(columns.values())))
        begun = sum(map(len, self._positions))
        self._positions.append(torch.arange(begun, begun + size) if self._shards is None else self._shards[batch_idx])
        self._parts.append(columns)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Bring the outcomes of all processes together."""
        positions, parts = self._positions, self._parts
        self._positions, self._parts = [], []
        if trainer.world_size > 1:
            both = gathered(trainer, (positions, parts))
            positions, parts = ([each for pair in both for each in pair[index]] for index in (0, 1))
        if parts and trainer.is_global_zero:
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            known = isinstance(data, DataModule) and self._shards is not None
            self.outcomes = Outcomes.joined(positions, parts, data if known else None)


def outcomes_of(trainer: Trainer) -> Outcomes | None:
    """What the trainer's last test has found; None where nothing was kept of it, and in every process but the first."""
    return next(
        (callback.outcomes for callback in trainer.callbacks if isinstance(callback, CollectOutcomes)),  # type: ignore[attr-defined]
        None,
    )
