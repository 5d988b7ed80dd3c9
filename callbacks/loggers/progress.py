"""A progress bar with the newest metrics."""

import time
from collections.abc import Sequence
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class Progress(Callback):
    """A bar over the run's training steps, with the newest epoch's metrics, and over test and prediction batches.

    It is redrawn at most four times a second; where the output is no terminal (a file, a cluster's log), a plain line
    is written every half minute. On a narrow terminal the last metrics are cut off.
    """

    EVERY = 0.25  # seconds
    EVERY_PLAIN = 30.0

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.bar: Bar | None = None
        self.task = TaskID(0)
        self.drawn_at = 0.0
        self.total = float("inf")

    def start(self, trainer: Trainer, total: float, stage: str) -> None:
        """Draw an empty bar, on a terminal."""
        self.drawn_at, self.total = time.monotonic(), total
        if not (trainer.is_global_zero and self.console.is_terminal):
            return
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=self.bar_width),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[metrics]}"),
            console=self.console,
            auto_refresh=False,
            transient=True,
        )
        self.task = self.bar.add_task(stage, total=total if total < float("inf") else None, metrics="")
        self.bar.start()

    def is_time(self, trainer: Trainer) -> bool:
        """Whether to redraw."""
        return trainer.is_global_zero and time.monotonic() - self.drawn_at >= (
            self.EVERY if self.bar else self.EVERY_PLAIN
        )

    @property
    def bar_width(self) -> int:
        """The width of the bar itself."""
        return max(5, min(30, self.console.width // 8))

    def draw(self, stage: str, done: int, metrics: Sequence[str] = ()) -> None:
        """Show the stage, its completed steps, and as many metrics as there is room for."""
        self.drawn_at = time.monotonic()
        if self.bar:
            steps, left = 2 * len(f"{self.total:.0f}") + 1, len("0:00:00")
            room = self.console.width - sum((len(stage), self.bar_width, steps, left, 5))
            while metrics and len("  ".join(metrics)) > room:
                metrics = metrics[:-1]
            self.bar.update(self.task, completed=done, description=stage, metrics="  ".join(metrics))
            self.bar.refresh()
        else:
            of = f" of {self.total:.0f}" if self.total < float("inf") else ""
            line = "  ".join([stage, f"step {done}{of}", *metrics])
            self.console.print(line, highlight=False, soft_wrap=True)

    def stop(self) -> None:
        """Remove the bar."""
        if self.bar:
            self.bar.stop()
            self.bar = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start with the training steps."""
        self.start(trainer, trainer.estimated_stepping_batches, "epoch 1")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Redraw, if it is time."""
        self._draw_training(trainer)

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Redraw, if it is time: a validation may take longer than its epoch."""
        if not trainer.sanity_checking:
            self._draw_training(trainer, " (validating)")

    def _draw_training(self, trainer: Trainer, stage: str = "") -> None:
        if self.is_time(trainer):
            epochs = f"{trainer.current_epoch + 1}" + (
                f"/{trainer.max_epochs}" if (trainer.max_epochs or 0) > 0 else ""
            )
            self.draw(f"epoch {epochs}{stage}", trainer.global_step, metrics_of(trainer))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove the bar: the test follows."""
        self.stop()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start with the test batches."""
        self.start(trainer, float(sum(trainer.num_test_batches)), "testing")

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *args: Any
    ) -> None:
        """Redraw, if it is time."""
        if self.is_time(trainer):
            self.draw("testing", batch_idx + 1)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start with the batches to predict."""
        self.start(trainer, float(sum(trainer.num_predict_batches)), "predicting")

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *args: Any
    ) -> None:
        """Redraw, if it is time."""
        if self.is_time(trainer):
            self.draw("predicting", batch_idx + 1)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove the bar: the predictions follow."""
        self.stop()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove the bar: the results follow."""
        self.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Remove the bar: the error follows."""
        self.stop()


def metrics_of(trainer: Trainer) -> list[str]:
    """The newest metrics: the loss and the monitored one first, as there may be room for no others.

    Learning rates, which follow from the schedule, are left to the dashboard.
    """
    monitored = getattr(trainer.lightning_module, "monitor", None)
    first = {"train/loss": 0, monitored: 1}
    names = [name for name in trainer.callback_metrics if not name.startswith("lr-")]
    ordered = sorted(names, key=lambda name: first.get(name, 2))
    shown = {name: "loss" if name == "train/loss" else name for name in ordered}
    return [f"{shown[name]} {float(trainer.callback_metrics[name]):.4g}" for name in ordered]
