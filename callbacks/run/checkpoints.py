"""The best and the last checkpoint of a run, each taken where a run can go on exactly."""

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
    """The loss was no longer a number."""


class SaveEvery(NamedTuple):
    """When the last checkpoint is saved, besides the end of the run.

    Args:
        steps: as many training steps after the last save.
        seconds: as long after the last save.
        epoch_seconds: as long after the last save, at an epoch's end.
    """

    steps: int | None = None
    seconds: float = 600.0
    epoch_seconds: float = 30.0


@contextmanager
def before_validation(trainer: Trainer) -> Iterator[None]:
    """What the loops would say if a validation that has begun were yet to begin."""
    progress = trainer.fit_loop.epoch_loop.val_loop.batch_progress
    counts = [vars(count) for count in (progress.total, progress.current)]
    before = [dict(count) for count in counts]
    for count in counts:
        count.update(ready=1, started=1, processed=0, completed=0)  # which is how Lightning knows it
    try:
        yield
    finally:
        for count, values in zip(counts, before, strict=True):
            count.update(values)


class Checkpoints(Checkpoint):
    """Keeps `best.ckpt`, of the best value of the monitored metric so far, `last.ckpt`, and the one before the last.

    Both are written between two steps, when all that belongs to the first has been done and logged; so is a signal
    obeyed. Of equally good values the first is kept. Weights are never saved after a loss that is no number.

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
        self._best_waits = False  # to be saved between two steps
        self._epoch_ended = False
        self._gradients_wait = False  # are being accumulated, and no checkpoint would hold them
        self._loss: Tensor | None = None  # of the newest step
        self._batches_of_all = 0  # of the validation or test, that every process has
        self._saved_at = time.monotonic()
        self._saved_step = 0
        self._looked_at = 0.0  # at the folder

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

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clocks."""
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Between two steps: stop at a loss that is no number, save what has to be saved, obey a signal."""
        if time.monotonic() - self._looked_at >= 1:
            self._check_folder(trainer)
        if self._gradients_wait:
            return
        due = trainer.is_global_zero and self._is_due(trainer)
        signal, save, bad = all_reduce_max(
            trainer, self.signals.received, int(due), self._bad_step(trainer, look=False)
        )
        saves = signal or save or self._best_waits
        if saves:  # by whichever process: all have to look, since the loss of one alone may be no number
            (bad,) = all_reduce_max(trainer, self._bad_step(trainer, look=True))
        self._refuse(trainer, bad)
        if not saves:
            return
        with between_steps(trainer):
            self._save_best(trainer)
            if signal or save:
                self._save_last(trainer, final=bool(signal))
        if signal:
            raise Stopped(signal, trainer.global_step)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take note of the loss."""
        self._loss = outputs["loss"]
        self._gradients_wait = accumulates(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find out how many batches all processes have."""
        self._count_batches(trainer, trainer.num_val_batches)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *args: Any
    ) -> None:
        """Obey a signal in a long validation; it begins anew when the run goes on."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        signal = self._signal(trainer, batch_idx)
        if signal:
            (bad,) = all_reduce_max(trainer, self._bad_step(trainer, look=True))
            self._refuse(trainer, bad)
            with before_validation(trainer):
                self._save_last(trainer, final=True)
            raise Stopped(signal, trainer.global_step)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Judge a validation metric."""
        if self.monitor.startswith("val/") and not trainer.sanity_checking:
            self._judge(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Judge a training metric."""
        self._epoch_ended = True
        if self.monitor.startswith("train/"):
            self._judge(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the final state, and what waits to be written."""
        (bad,) = all_reduce_max(trainer, self._bad_step(trainer, look=True))
        self._refuse(trainer, bad)
        self._save_best(trainer)
        self._save_last(trainer, final=True)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find out how many batches all processes have."""
        self._count_batches(trainer, trainer.num_test_batches)

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, *args: Any
    ) -> None:
        """Obey a signal: all has been saved."""
        signal = self._signal(trainer, batch_idx)
        if signal:
            raise Stopped(signal, trainer.global_step)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Write what waits: the best checkpoint is not lost with the run."""
        if not isinstance(exception, FolderGoneError):
            self._flush(trainer)

    def _count_batches(self, trainer: Trainer, numbers: Sequence[float]) -> None:
        (most,) = all_reduce_max(trainer, -int(sum(numbers)))
        self._batches_of_all = -most

    def _signal(self, trainer: Trainer, batch_idx: int) -> int:
        """The signal that any process was sent; 0 in a batch that not all processes have, and could not agree in."""
        return all_reduce_max(trainer, self.signals.received)[0] if batch_idx < self._batches_of_all else 0

    def _is_due(self, trainer: Trainer) -> bool:
        if self.every.steps is not None and trainer.global_step - self._saved_step >= self.every.steps:
            return True
        passed = time.monotonic() - self._saved_at
        ended, self._epoch_ended = self._epoch_ended, False
        return passed >= self.every.seconds or (ended and passed >= self.every.epoch_seconds)

    def _bad_step(self, trainer: Trainer, look: bool) -> int:
        """The number of the newest step, from 1, if its loss was no number; else 0.

        A GPU would have to be waited for, so there only some are looked at, and each before a save.
        """
        if self._loss is None:
            return 0
        often = self._loss.device.type == "cpu" or trainer.global_step % trainer.log_every_n_steps == 0  # type: ignore[attr-defined]
        if not (often or look) or math.isfinite(float(self._loss)):
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

    def _judge(self, trainer: Trainer) -> None:
        value = trainer.callback_metrics.get(self.monitor)
        if value is None or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        score = float(value)
        if score != score:  # not a number: nothing to keep
            return
        if self.best_score is None or (score < self.best_score if self.mode == "min" else score > self.best_score):
            self.best_score, self.best_step = score, trainer.global_step
            self._best_waits = True

    def _save_best(self, trainer: Trainer) -> None:
        if self._best_waits:
            self._best_waits = False
            self._check_folder(trainer)
            trainer.save_checkpoint(self.best_path)

    def _save_last(self, trainer: Trainer, final: bool = False) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        self._check_folder(trainer)
        self._flush(trainer)  # the best, which the last says there is
        if trainer.is_global_zero and self.last_path.exists():
            with suppress(OSError):  # where the disk fails, the save says so
                with_retries(lambda: keep(self.last_path, self.previous_path))
        trainer.save_checkpoint(self.last_path)
        self._flush(trainer, final)
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step

    def _check_folder(self, trainer: Trainer) -> None:
        self._looked_at = time.monotonic()
        if trainer.is_global_zero:
            self.run.check()

    def _flush(self, trainer: Trainer, final: bool = False) -> None:
        io = trainer.strategy.checkpoint_io
        if isinstance(io, AtomicCheckpointIO):
            io.flush(final)

    def problem(self, path: Path) -> str | None:
        """What is wrong with a checkpoint that this run has saved; None if it can be tested."""
        try:
            checkpoint = read_checkpoint(path)
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
        """What is best so far."""
        return {"best_score": self.best_score, "best_step": self.best_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what was best."""
        self.best_score, self.best_step = state_dict["best_score"], state_dict["best_step"]


def keep(path: Path, name: Path) -> None:
    """Give a file a second name, which replaces an older file of that name; at no moment is either missing."""
    if name.exists() and name.samefile(path):  # the run was killed before it wrote a newer one
        return
    temporary = name.with_name(f".{name.name}")
    temporary.unlink(missing_ok=True)
    try:
        os.link(path, temporary)
    except OSError:  # a file system without links
        shutil.copy2(path, temporary)
    temporary.replace(name)
