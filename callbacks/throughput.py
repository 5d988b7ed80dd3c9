"""How long training took and how many examples it saw a second."""

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


def batch_size_of(batch: Any) -> int:
    """Examples in a batch: the length of its targets, the last part, or of the first of several targets."""
    target = batch[-1] if isinstance(batch, tuple | list) else batch
    return len(target[0] if isinstance(target, tuple) else target)


class Throughput(Callback):
    """Counts examples and the seconds spent on training batches, validation and saving left out.

    `train_seconds` is the whole time from the first step to the last, everything included.
    """

    def __init__(self) -> None:
        self.examples = 0
        self.batch_seconds = 0.0
        self.train_seconds = 0.0
        self._began = 0.0
        self._resumed = 0.0

    @property
    def examples_per_second(self) -> float:
        """Training examples in a second."""
        return self.examples / self.batch_seconds if self.batch_seconds else 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the batches' clock."""
        self._resumed = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count a batch, loading included."""
        now = time.perf_counter()
        self.examples += batch_size_of(batch)
        self.batch_seconds += now - self._resumed
        self._resumed = now

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave validation out of the batches' time."""
        self._resumed = time.perf_counter()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self.train_seconds = time.perf_counter() - self._began
