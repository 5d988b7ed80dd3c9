"""The best and the last checkpoint of a run, each saved where a run can be resumed exactly."""

import math
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from callbacks.private.lightning import accumulates, between_steps
from callbacks.run.checkpoint_file import AtomicCheckpointIO, CheckpointError, read_checkpoint
from callbacks.run.processes import all_reduce_max
from callbacks.run.run_folder import FolderGoneError, RunFolder
from callbacks.run.signals import Signals, Stopped
from datamodules.errors import UserError
from datamodules.storage.atomic_file import with_retries


class NonFiniteError(UserError, ValueError):
    """The loss was not finite."""

    is_agreed = True


class SaveEvery(NamedTuple):
    """When the last checkpoint is saved, besides the end of the run.

    Args:
        steps: training steps after the last save.
        seconds: time after the last save.
        epoch_seconds: time after the last save, at the end of an epoch.
    """

    steps: int | None = None
    seconds: float = 600.0
    epoch_seconds: float = 30.0


@contextmanager
def before_validation(trainer: Trainer) -> Iterator[None]:
    """Set the loops' state to that before a validation that has begun."""
    progress = trainer.fit_loop.epoch_loop.val_loop.batch_progress
    counts = [vars(count) for count in (progress.total, progress.current)]
    before = [dict(count) for count in counts]
    for count in counts:
        count.update(ready=1, started=1, processed=0, completed=0)  # by which Lightning recognises it
    try:
        yield
    finally:
        for count, values in zip(counts, before, strict=True):
            count.update(values)


class Checkpoints(Checkpoint):
    """Keeps `best.ckpt`, of the best value of the monitored metric so far, `last.ckpt`, and the one before the last.

    Both are written between two steps, when the first has been completed and logged; so are signals handled. Of equal
    values the first is kept. Weights are never saved after a loss that is not finite.

    Args:
        run: the run's folder, which is looked at before each save, and else once a second.
        monitor: name of the metric.
        mode: `min` or `max`.
        every: when the last is saved.
        signals: that ask the run to end.
    """

    def __init__(
        self,
        run: RunFolder,
        monitor: str,
        mode: str,
        every: SaveEvery | None = None,
        signals: Signals | None = None,
    ) -> None:
        self.run = run
        self.monitor = monitor
        self.mode = mode
        self.every = every or SaveEvery()
        self.signals = signals or Signals()
        self.best_score: float | None = None
        self.best_step: int | None = None
        self.best_epoch: int | None = None  # from 1; None after a resume of an earlier version's run
        self._best_is_pending = False  # to be saved between two steps
        self._further: dict[str, str | None] = {}  # the same: file names, each with that of a file which it replaces
        self._epoch_ended = False
        self._accumulates = False  # are being accumulated, and no checkpoint would contain them
        self._loss: Tensor | None = None  # of the newest step
        self._common_batches = 0  # of the validation or test, that every process has
        self._saved_at = time.monotonic()
        self._saved_step = 0
        self._checked_at = 0.0  # the folder

    @property
    def best_path(self) -> Path:
        """The best checkpoint."""
        return self.run.checkpoints / "best.ckpt"

    @property
    def last_path(self) -> Path:
        """The last checkpoint."""
        return self.run.checkpoints / "last.ckpt"

    @property
    def previous_path(self) -> Path:
        """The checkpoint before the last."""
        return self.run.checkpoints / "previous.ckpt"

    def save_further(self, name: str, instead_of: str | None = None) -> None:
        """Save a checkpoint of this name, too, once the newest step is complete.

        Args:
            name: of the file, in the folder of checkpoints.
            instead_of: that of a file which is deleted when this one is there.
        """
        self._further[name] = instead_of

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clocks."""
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Between two steps: stop at a loss that is not finite, save what is due, handle a signal."""
        if time.monotonic() - self._checked_at >= 1:
            self._check_folder(trainer)
        if self._accumulates:
            return
        due = trainer.is_global_zero and self._is_due(trainer)
        signal, save, bad = all_reduce_max(
            trainer, self.signals.received, int(due), self._non_finite_step(trainer, check=False)
        )
        saves = signal or save or self._best_is_pending or self._further
        if saves:  # by any process: all have to check, since the loss of one alone may not be finite
            (bad,) = all_reduce_max(trainer, self._non_finite_step(trainer, check=True))
        self._refuse(trainer, bad)
        if not saves:
            return
        with between_steps(trainer):
            self._save_best(trainer)
            self._save_further(trainer)
            if signal or save:
                self._save_last(trainer, final=bool(signal))
        if signal:
            raise Stopped(signal, trainer.global_step)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the loss."""
        self._loss = outputs["loss"]
        self._accumulates = accumulates(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute how many batches all processes have."""
        self._count_batches(trainer, trainer.num_val_batches)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *args: Any
    ) -> None:
        """Handle a signal in a long validation, which starts over when the run is resumed."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        signal = self._signal(trainer, batch_idx)
        if signal:
            (bad,) = all_reduce_max(trainer, self._non_finite_step(trainer, check=True))
            self._refuse(trainer, bad)
            with before_validation(trainer):
                self._save_last(trainer, final=True)
            raise Stopped(signal, trainer.global_step)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare a validation metric with the best."""
        if not self.monitor.startswith("train") and not trainer.sanity_checking:
            self._compare(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare a training metric with the best."""
        self._epoch_ended = True
        if self.monitor.startswith("train"):
            self._compare(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the final state, and what is pending."""
        (bad,) = all_reduce_max(trainer, self._non_finite_step(trainer, check=True))
        self._refuse(trainer, bad)
        self._save_best(trainer)
        self._save_further(trainer)
        self._save_last(trainer, final=True)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute how many batches all processes have."""
        self._count_batches(trainer, trainer.num_test_batches)

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, *args: Any
    ) -> None:
        """Handle a signal: everything has been saved."""
        signal = self._signal(trainer, batch_idx)
        if signal:
            raise Stopped(signal, trainer.global_step)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Write what is pending: the best checkpoint is not lost with the run."""
        if not isinstance(exception, FolderGoneError):
            self._flush(trainer)

    def _count_batches(self, trainer: Trainer, counts: Sequence[float]) -> None:
        (negative,) = all_reduce_max(trainer, -int(sum(counts)))  # the minimum
        self._common_batches = -negative

    def _signal(self, trainer: Trainer, batch_idx: int) -> int:
        """The signal that any process received; 0 in a batch that not all processes have."""
        return all_reduce_max(trainer, self.signals.received)[0] if batch_idx < self._common_batches else 0

    def _is_due(self, trainer: Trainer) -> bool:
        if self.every.steps is not None and trainer.global_step - self._saved_step >= self.every.steps:
            return True
        passed = time.monotonic() - self._saved_at
        ended, self._epoch_ended = self._epoch_ended, False
        return passed >= self.every.seconds or (ended and passed >= self.every.epoch_seconds)

    def _non_finite_step(self, trainer: Trainer, check: bool) -> int:
        """The index of the newest step, from 1, if its loss was not finite; else 0.

        Reading it synchronises with a GPU, so there it is checked at intervals, and before each save.
        """
        if self._loss is None:
            return 0
        often = self._loss.device.type == "cpu" or trainer.global_step % trainer.log_every_n_steps == 0  # type: ignore[attr-defined]
        if not (often or check) or math.isfinite(float(self._loss)):
            return 0
        return trainer.global_step

    def _refuse(self, trainer: Trainer, bad: int) -> None:
        if bad:
            kept = next((path for path in (self.last_path, self.best_path) if path.exists()), None)
            saved = f"the last finite checkpoint is {kept}" if kept else "no checkpoint had been saved before it"
            raise NonFiniteError(
                f"the loss was not a finite number at step {bad}; {saved}; "
                f"try a lower --model.optimizer.lr or --trainer.gradient_clip_val 1"
            )

    def is_best(self, trainer: Trainer) -> bool:
        """Whether the newest value of the monitored metric is better than the best so far."""
        value = trainer.callback_metrics.get(self.monitor)
        if value is None or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return False
        score = float(value)
        if math.isnan(score):
            return False
        return self.best_score is None or (score < self.best_score if self.mode == "min" else score > self.best_score)

    def _compare(self, trainer: Trainer) -> None:
        if self.is_best(trainer):
            self.best_score = float(trainer.callback_metrics[self.monitor])
            self.best_step, self.best_epoch = trainer.global_step, trainer.current_epoch + 1
            self._best_is_pending = True

    def _save_best(self, trainer: Trainer) -> None:
        if self._best_is_pending:
            self._best_is_pending = False
            self._check_folder(trainer)
            trainer.save_checkpoint(self.best_path)

    def _save_further(self, trainer: Trainer) -> None:
        further, self._further = self._further, {}
        if not further or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        self._check_folder(trainer)
        for name in further:
            trainer.save_checkpoint(self.run.checkpoints / name)
        self._flush(trainer)
        if trainer.is_global_zero:
            for dropped in filter(None, further.values()):
                (self.run.checkpoints / dropped).unlink(missing_ok=True)

    def _save_last(self, trainer: Trainer, final: bool = False) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        self._check_folder(trainer)
        self._flush(trainer)  # the best, which the last refers to
        if trainer.is_global_zero and self.last_path.exists():
            with suppress(OSError):  # if the disk fails, the save says so
                with_retries(lambda: keep(self.last_path, self.previous_path))
        trainer.save_checkpoint(self.last_path)
        self._flush(trainer, final)
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step

    def _check_folder(self, trainer: Trainer) -> None:
        self._checked_at = time.monotonic()
        if trainer.is_global_zero:
            self.run.check()

    def _flush(self, trainer: Trainer, final: bool = False) -> None:
        io = trainer.strategy.checkpoint_io
        if isinstance(io, AtomicCheckpointIO):
            io.flush(final)

    def problem(self, path: Path) -> str | None:
        """What is wrong with a checkpoint of this run; None if it can be tested."""
        try:
            checkpoint = read_checkpoint(path, mapped=True)
        except FileNotFoundError:
            return "it is gone"
        except (CheckpointError, OSError) as error:
            return str(error)
        of_run = checkpoint.get("callbacks", {}).get(self.state_key) == self.state_dict()
        if not of_run or (path == self.best_path and checkpoint["global_step"] != self.best_step):
            return "it is not the one that this run has saved"
        return None

    def to_test(self) -> Path | None:
        """The best checkpoint; the last one if the best is damaged or gone; None for the weights as they are now.

        Says which, where it is not the best.
        """
        self.run.check()
        if self.best_score is None:
            return None
        problem = self.problem(self.best_path)
        if problem is None:
            return self.best_path
        last = self.last_path if self.problem(self.last_path) is None else None
        print(
            f"note: {self.best_path}: {problem}; {last or 'what the run ended with'} is tested instead", file=sys.stderr
        )
        return last

    def state_dict(self) -> dict[str, Any]:
        """The best value so far, its step and its epoch."""
        epoch = {} if self.best_epoch is None else {"best_epoch": self.best_epoch}
        return {"best_score": self.best_score, "best_step": self.best_step, **epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the best value."""
        self.best_score, self.best_step = state_dict["best_score"], state_dict["best_step"]
        self.best_epoch = state_dict.get("best_epoch")


def keep(path: Path, name: Path) -> None:
    """Give a file a second name, which replaces an older file of that name; neither is ever missing."""
    if name.exists() and name.samefile(path):  # the run was killed before it wrote a newer one
        return
    temporary = name.with_name(f".{name.name}")
    temporary.unlink(missing_ok=True)
    try:
        os.link(path, temporary)
    except OSError:  # a file system without links
        shutil.copy2(path, temporary)
    temporary.replace(name)
