"""How far a run is, how long it still takes, and what it has reached."""

import time
from collections.abc import Sequence
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.text import Text
from torch import Tensor

from callbacks.loggers.screen import Lines, Screen, Status, fitting
from callbacks.loggers.time_left import (
    UNKNOWN,
    Pace,
    batches_left,
    duration,
    epochs_of,
    limit_left,
    steps_of,
    validations_left,
)
from callbacks.run.checkpoints import Checkpoints
from datamodules.checking.text_table import rounded

LOSSES = ("train/loss", "train_loss", "loss")  # the last two of other packages' models


class Progress(Callback):
    """A line that is redrawn, with epoch, bar, steps of the epoch, time left of the run, loss and monitored metric.

    After each validation, or each epoch without one, a line stays: the time since the one before, whether the monitored
    metric is the best so far, and the metrics. Of validations that follow each other faster than once a second, those
    lines stay that tell the best and the last.

    The first is redrawn at most four times a second. Where the output is no terminal (a file, a cluster's log), a line
    of that kind is written every half minute, without a bar. Only the first of several processes shows anything.

    Args:
        lines_stay: whether there are lines that stay, of what is trained for its weights.
    """

    EVERY = 0.25  # seconds
    EVERY_PLAIN = 30.0

    def __init__(self, lines_stay: bool = True) -> None:
        self.lines_stay = lines_stay
        self.screen = Screen()
        self.lines = Lines(self.screen)
        self.drawn_at = 0.0
        self._begin()

    def _begin(self) -> None:
        self.began = self.told_at = self.prepares_since = time.monotonic()
        self.first_step = 0  # of this process
        self.batches = 0  # of this process
        self.done = 0  # batches of the epoch
        self.newest: Tensor | None = None  # loss
        self.widths: dict[str, int] = {}  # of values in the lines that stay
        self.validated: int | None = None  # batches of the epoch that the newest validation followed
        self.told_step: int | None = None  # of the newest line that stays
        self.pace = Pace()
        self.validating = 0.0  # seconds so far
        self.evaluated = Evaluated()

    def is_time(self, trainer: Trainer) -> bool:
        """Whether to redraw."""
        every = self.EVERY if self.screen.bar else self.EVERY_PLAIN
        return trainer.is_global_zero and time.monotonic() - self.drawn_at >= every

    def draw(self, status: Status) -> None:
        """Show how far a stage is."""
        self.lines.settle()
        self.drawn_at = time.monotonic()
        self.screen.draw(status)

    def start(self, trainer: Trainer, status: Status) -> None:
        """Begin a stage; a file gets its first line when something is done."""
        if trainer.is_global_zero:
            self.screen.start()
            self.drawn_at = time.monotonic()
            if self.screen.bar:
                self.screen.draw(status)

    def stop(self) -> None:
        """Remove the line that is redrawn; write what is held of those that stay."""
        self.lines.settle(at_once=True)
        self.screen.stop()

    def on_preparation(self, trainer: Trainer, stage: str, done: int, total: int) -> None:
        """Show what a model does between its own steps, or before the first."""
        if done == 0:
            self.prepares_since = time.monotonic()
        if self.is_time(trainer):
            left = (time.monotonic() - self.prepares_since) * (total - done) / done if done else None
            self.draw(Status(stage, done, total, left, unit="step"))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start with the training steps."""
        self._begin()
        self.first_step = trainer.global_step
        self.done = trainer.fit_loop.epoch_loop.batch_progress.current.completed  # after a resume
        self.start(trainer, self._training(trainer))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count from the epoch's first step; an epoch that is resumed in its middle is not started again."""
        self.done, self.validated = 0, None
        if self.batches == 0:
            self.told_at = time.monotonic()  # what comes before the first epoch is no part of it

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Redraw, if it is time."""
        self.batches += 1
        self.newest = outputs.get("loss") if isinstance(outputs, dict) else outputs
        self.done = batch_idx + 1
        now = time.monotonic()
        if self.batches == 1 or now - self.pace.points[-1][0] - self.validating >= self.EVERY:
            self.pace.add(now - self.validating, self.batches)  # the first step is longer, and left out
        if self.is_time(trainer):
            self.draw(self._training(trainer))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the validation's clock; and with its batches, where no training has begun."""
        self.validated = self.done
        self.evaluated.begin()
        if stage := alone(trainer):
            self.start(trainer, Status(stage, 0, sum(self._validation_batches(trainer))))

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Redraw, if it is time: a validation may take longer than its epoch."""
        counts = self._validation_batches(trainer)
        self.evaluated.count(batch_idx, dataloader_idx, counts)
        if not self.is_time(trainer):
            return
        if stage := alone(trainer):
            self._draw_evaluated(stage, counts)
        else:
            self.draw(self._training(trainer, is_validating=True))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write a line that stays."""
        if trainer.sanity_checking:
            return
        if trainer.state.fn == "validate":
            self.stop()
            return
        self.validating += time.monotonic() - self.evaluated.began
        if not self._monitor(trainer).startswith("train"):
            self._tell(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write a line that stays, if the validation did not."""
        if self.told_step != trainer.global_step:
            self._tell(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove the bar: the test follows."""
        self.stop()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start with the test batches."""
        self.evaluated.begin()
        self.start(trainer, Status("testing", 0, sum(trainer.num_test_batches)))

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Redraw, if it is time."""
        self.evaluated.count(batch_idx, dataloader_idx, trainer.num_test_batches)
        if self.is_time(trainer):
            self._draw_evaluated("testing", trainer.num_test_batches)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove the bar: the results follow."""
        self.stop()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start with the batches to predict."""
        self.evaluated.begin()
        self.start(trainer, Status("predicting", 0, sum(trainer.num_predict_batches)))

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Redraw, if it is time."""
        self.evaluated.count(batch_idx, dataloader_idx, trainer.num_predict_batches)
        if self.is_time(trainer):
            self._draw_evaluated("predicting", trainer.num_predict_batches)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove the bar: the predictions follow."""
        self.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Remove the bar: the error follows."""
        self.stop()

    def _validation_batches(self, trainer: Trainer) -> Sequence[float]:
        return trainer.num_sanity_val_batches if trainer.sanity_checking else trainer.num_val_batches

    def _draw_evaluated(self, stage: str, counts: Sequence[float]) -> None:
        left = self.evaluated.seconds_left(sum(counts))
        self.draw(Status(stage, self.evaluated.done, sum(counts), None if left == UNKNOWN else left))

    def _training(self, trainer: Trainer, is_validating: bool = False) -> Status:
        """How far the epoch is, or its validation, and the time until the run ends."""
        left = self._seconds_left(trainer, is_validating)
        is_left = left is None or left < UNKNOWN
        seconds = left if is_left else time.monotonic() - self.began
        stage = epoch_of(trainer)
        metrics = [
            f"{name} {rounded(value, 3, zeros=True)}"
            for name, value in metrics_of(trainer, self._loss(trainer)).items()
        ]
        if is_validating:
            total, stage = sum(trainer.num_val_batches), f"{stage} validating"
            return Status(stage, self.evaluated.done, total, seconds, metrics, is_left=is_left)
        done, total = self._steps(trainer)
        return Status(stage, done, total, seconds, metrics, "step", is_left)

    def _steps(self, trainer: Trainer) -> tuple[int, float]:
        """Optimizer steps of the epoch, and how many there will be."""
        batches, done = trainer.num_training_batches, steps_of(trainer, self.done)
        total = steps_of(trainer, int(batches)) if batches < UNKNOWN else UNKNOWN
        return done, min(total, done + trainer.max_steps - trainer.global_step) if trainer.max_steps > 0 else total

    def _seconds_left(self, trainer: Trainer, is_validating: bool) -> float | None:
        """Until the run ends as far as is known before; infinite where nothing is, None where it is not known yet."""
        steps = trainer.global_step - self.first_step
        left = batches_left(trainer, self.done, self.batches / steps if steps else trainer.accumulate_grad_batches)
        if left == UNKNOWN:
            return limit_left(trainer)
        now = self.evaluated.began if is_validating else time.monotonic()
        seconds = self.pace.seconds(now - self.validating, self.batches)
        if seconds is None:
            return None
        batches = sum(trainer.num_val_batches)
        if batches == UNKNOWN or self.evaluated.seconds is None:
            return min(left * seconds, limit_left(trainer))
        further = validations_left(trainer, self.done, left, self.validated == self.done) * batches
        if is_validating:
            further += batches - self.evaluated.done
        return min(left * seconds + further * self.evaluated.seconds, limit_left(trainer))

    def _tell(self, trainer: Trainer) -> None:
        """Write a line that stays."""
        now = time.monotonic()
        took, self.told_at, self.told_step = now - self.told_at, now, trainer.global_step
        if not trainer.is_global_zero or not self.lines_stay:
            return
        is_validated = self.validated == self.done
        checkpoints = trainer.checkpoint_callback
        is_new = is_validated or self._monitor(trainer).startswith("train")
        is_best = is_new and isinstance(checkpoints, Checkpoints) and checkpoints.is_best(trainer)
        status = self._training(trainer)
        metrics = metrics_of(trainer, self._loss(trainer), is_validated)
        if self.screen.bar:
            self.lines.add(self._line(trainer, status, took, is_best, metrics), is_best)
        else:
            self.drawn_at = now
            left = [status.time] if status.seconds is not None else []
            best = ["best"] if is_best else []
            values = [f"{name} {rounded(value)}" for name, value in metrics.items()]
            parts = [status.stage, status.counted_in_words, *left, f"took {duration(took)}", *best, *values]
            self.lines.add("  ".join(parts), is_best)

    def _line(self, trainer: Trainer, status: Status, took: float, is_best: bool, metrics: dict[str, float]) -> Text:
        """A line for the screen, in columns."""
        last = epochs_of(trainer)
        stage = status.stage.ljust(len(f"epoch {last}/{last}")) if last else status.stage
        every = trainer.val_check_batch or UNKNOWN
        if trainer.check_val_every_n_epoch is None or every < trainer.num_training_batches:
            stage += f"  {status.counted:>{2 * len(f'{status.total:.0f}') + 1}}"  # validated within the epoch, too
        line = Text(f"{stage}  {duration(took):>6}  ").append("best" if is_best else "    ", style="bold green")
        fields = [""]
        for name, value in metrics.items():
            text = rounded(value, zeros=True)
            self.widths[name] = max(self.widths.get(name, len("0.1234")), len(text))
            fields.append(f"{name} {text:{self.widths[name]}}")
        return line.append("  ".join(fitting(fields, self.screen.console.width - line.cell_len)).rstrip())

    def _loss(self, trainer: Trainer) -> float | None:
        """Of the newest step, where it is that of a whole step, and is what the model minimises."""
        module: Any = trainer.lightning_module
        whole = module.automatic_optimization and trainer.accumulate_grad_batches == 1
        return None if self.newest is None or not whole else float(self.newest)

    def _monitor(self, trainer: Trainer) -> str:
        return str(getattr(trainer.lightning_module, "monitor", ""))


class Evaluated:
    """Batches of a validation, a test or a prediction: how many are done, and what one takes."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.done = 0
        self.seconds: float | None = None  # a batch

    def begin(self) -> None:
        """Count from the first, which will take as long as those before did."""
        self.began, self.done = time.monotonic(), 0

    def count(self, batch_idx: int, loader: int, counts: Sequence[float]) -> None:
        """Count a batch of one of several loaders."""
        self.done = batch_idx + 1 + sum(int(count) for count in counts[:loader] if count < UNKNOWN)
        self.seconds = (time.monotonic() - self.began) / self.done

    def seconds_left(self, total: float) -> float | None:
        """Until all are done."""
        return None if self.seconds is None else (total - self.done) * self.seconds


def alone(trainer: Trainer) -> str | None:
    """What a validation is called that is no part of a training."""
    if trainer.sanity_checking:
        return "checking"
    return "validating" if trainer.state.fn == "validate" else None


def epoch_of(trainer: Trainer) -> str:
    """The epoch, from 1, and how many there are."""
    epochs = epochs_of(trainer)
    return (
        f"epoch {min(trainer.current_epoch + 1, epochs)}/{epochs}" if epochs else f"epoch {trainer.current_epoch + 1}"
    )


def metrics_of(trainer: Trainer, loss: float | None, validated: bool = True) -> dict[str, float]:
    """The newest metrics: the loss and the monitored one first, as there may be room for no others.

    Learning rates, which follow from the schedule, are left to the dashboard.

    Args:
        trainer: that has them.
        loss: of the newest step, where it is known; else that which was logged last is the newest.
        validated: whether those of the validation are new; otherwise they are left out.
    """
    found = {name: value for name, value in trainer.callback_metrics.items() if not name.startswith("lr-")}
    logged = next((float(found.pop(name)) for name in LOSSES if name in found), None)
    newest = logged if loss is None else loss
    monitored = getattr(trainer.lightning_module, "monitor", None)
    names = sorted(found, key=lambda name: name != monitored)
    values = {name: float(found[name]) for name in names if validated or not name.startswith("val")}
    return values if newest is None else {"loss": newest, **values}
