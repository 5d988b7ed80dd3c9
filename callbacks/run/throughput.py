"""The duration of training and its throughput."""

import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from datamodules.tokenizing.packed import Packed


def batch_size_of(batch: Any) -> int:
    """Examples in a batch: the length of its last element, the targets, or of the first of several targets."""
    target = batch[-1] if isinstance(batch, tuple | list) else batch
    return len(target[0] if isinstance(target, tuple) else target)


def tokens_of(batch: Any) -> torch.Tensor | int:
    """Tokens in a batch's texts, padding not counted, where they are (a GPU is not waited for); 0 where it has none."""
    if isinstance(batch, Packed):
        return batch.num_tokens
    if hasattr(batch, "ids") and hasattr(batch, "lengths"):
        return batch.lengths.sum()
    return sum(map(tokens_of, batch)) if isinstance(batch, tuple | list) else 0


class Throughput(Callback):
    """Counts examples, tokens of texts, and the seconds spent on training batches, without validation and saving.

    `train_seconds` is the total time from the first step to the last, everything included. The tokens are those of this
    process since it began.
    """

    def __init__(self) -> None:
        self.examples = 0
        self.tokens: torch.Tensor | int = 0
        self.batch_seconds = 0.0
        self.seconds_of_tokens = 0.0  # of this process, as the tokens
        self.train_seconds = 0.0
        self._before = 0.0  # this run was resumed
        self._began = 0.0
        self._resumed = 0.0

    @property
    def examples_per_second(self) -> float:
        """Training examples per second."""
        return self.examples / self.batch_seconds if self.batch_seconds else 0.0

    def tokens_per_second(self, processes: int) -> float | None:
        """Tokens of texts per second, of so many processes that read as many each; None without texts."""
        tokens = float(self.tokens)
        return processes * tokens / self.seconds_of_tokens if tokens and self.seconds_of_tokens else None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clocks; a run that is resumed in the middle of an epoch does not start that epoch again."""
        self._began = self._resumed = time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the batches' clock."""
        self._resumed = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count a batch, loading included."""
        now = time.perf_counter()
        self.examples += batch_size_of(batch) * trainer.world_size
        self.tokens = self.tokens + tokens_of(batch)
        self.batch_seconds += now - self._resumed
        self.seconds_of_tokens += now - self._resumed
        self._resumed = now

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Exclude validation from the batches' time."""
        self._resumed = time.perf_counter()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self.train_seconds = self._so_far()

    def _so_far(self) -> float:
        return self._before + (time.perf_counter() - self._began if self._began else 0.0)

    def state_dict(self) -> dict[str, Any]:
        """The counts so far."""
        return {"examples": self.examples, "batch_seconds": self.batch_seconds, "train_seconds": self._so_far()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue counting; not from the best checkpoint, which is loaded after training to be tested."""
        if self._began:
            return
        self.examples, self.batch_seconds = state_dict["examples"], state_dict["batch_seconds"]
        self.train_seconds = self._before = state_dict["train_seconds"]
