"""Says when training waits for batches that more processes would load."""

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from datamodules.base import DataModule

WAITED = 0.2  # of the first epoch's time, from which on it is told
SECONDS = 20.0  # that an epoch takes at least: what is shorter is no matter


class WaitingForData(Callback):
    """Measures how long the steps of the first epoch wait for batches that are read from files.

    Lightning's warning tells everybody whose data is in memory to have more processes, which would slow them down.
    """

    def __init__(self) -> None:
        self._mark = self._began = time.perf_counter()
        self._waited = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._mark = self._began = time.perf_counter()
        self._waited = 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """The batch is there; the first one of all processes takes longer than any other."""
        if batch_idx:
            self._waited += time.perf_counter() - self._mark

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """The next batch is waited for."""
        self._mark = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell it once."""
        data, loader = trainer.datamodule, trainer.train_dataloader  # type: ignore[attr-defined]
        seconds = time.perf_counter() - self._began
        if trainer.current_epoch or not isinstance(data, DataModule) or loader is None or seconds < SECONDS:
            return
        part, more = self._waited / seconds, data.spare_workers(loader.dataset)
        if part > WAITED and more > loader.num_workers:
            data.note(
                f"{part:.0%} of the first epoch's time went on waiting for batches, with --data.num_workers "
                f"{loader.num_workers}; {more} would wait less here"
            )
