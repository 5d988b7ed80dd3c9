"""The best and the last checkpoint of a run, written whole or not at all."""

import os
import time
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from callbacks.whole_file import whole_file


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place, syncs it, and then gives it its name.

    Lightning stages it in $TMPDIR and moves it, which on another file system is a copy that can be cut short.
    A file is not written again within `seconds`: an epoch may take milliseconds. Until then the newest content
    waits in memory; `flush` writes it.

    Args:
        seconds: least time between two writes of one file.
    """

    def __init__(self, seconds: float = 5.0) -> None:
        super().__init__()
        self.seconds = seconds
        self.written_at: dict[str, float] = {}
        self.waiting: dict[str, dict[str, Any]] = {}

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write the checkpoint, or keep a copy of it if the file was written a moment ago."""
        name = os.fspath(path)
        if time.monotonic() - self.written_at.get(name, float("-inf")) < self.seconds:
            self.waiting[name] = _copied(checkpoint)
        else:
            self.write(checkpoint, name)

    def write(self, checkpoint: dict[str, Any], name: str) -> None:
        """Write the file now."""
        self.waiting.pop(name, None)
        with whole_file(Path(name)) as file:
            torch.save(checkpoint, file)
        self.written_at[name] = time.monotonic()

    def flush(self) -> None:
        """Write what waits."""
        for name, checkpoint in list(self.waiting.items()):
            self.write(checkpoint, name)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
        """Read a checkpoint; only plain types and tensors are let in."""
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)


def _copied(value: Any) -> Any:
    """The checkpoint with tensors of its own, which training no longer changes."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return type(value)((key, _copied(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return type(value)(_copied(item) for item in value)
    return value


class Checkpoints(Checkpoint):
    """Keeps `best.ckpt`, of the best value of the monitored metric so far, and `last.ckpt`, of the newest epoch.

    Of equally good values the first is kept.

    Args:
        folder: where they go.
        monitor: name of the metric.
        mode: `min` or `max`.
        seconds: least time between two saves of the last; it is always saved at the end.
    """

    def __init__(self, folder: Path, monitor: str, mode: str, seconds: float = 30.0) -> None:
        self.best_path = folder / "best.ckpt"
        self.last_path = folder / "last.ckpt"
        self.monitor = monitor
        self.mode = mode
        self.seconds = seconds
        self.best_score: float | None = None
        self.best_step: int | None = None
        self._saved_at = time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Judge a validation metric."""
        if self.monitor.startswith("val/") and not trainer.sanity_checking:
            self._judge(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Judge a training metric; save the last, if it is time."""
        if self.monitor.startswith("train/"):
            self._judge(trainer)
        if time.monotonic() - self._saved_at >= self.seconds:
            self._save_last(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the final state, and what waits to be written."""
        self._save_last(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Write what waits: the best checkpoint is not lost with the run."""
        self._flush(trainer)

    def _judge(self, trainer: Trainer) -> None:
        value = trainer.callback_metrics.get(self.monitor)
        if value is None or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        score = float(value)
        if score != score:  # not a number: nothing to keep
            return
        if self.best_score is None or (score < self.best_score if self.mode == "min" else score > self.best_score):
            self.best_score, self.best_step = score, trainer.global_step
            trainer.save_checkpoint(self.best_path)

    def _save_last(self, trainer: Trainer) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        trainer.save_checkpoint(self.last_path)
        self._flush(trainer)
        self._saved_at = time.monotonic()

    def _flush(self, trainer: Trainer) -> None:
        io = trainer.strategy.checkpoint_io
        if isinstance(io, AtomicCheckpointIO):
            io.flush()

    def state_dict(self) -> dict[str, Any]:
        """What is best so far."""
        return {"best_score": self.best_score, "best_step": self.best_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what was best."""
        self.best_score, self.best_step = state_dict["best_score"], state_dict["best_step"]
