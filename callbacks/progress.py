"""One line on the screen that says how far a run is."""

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class Progress(Callback):
    """A bar over the run's training steps, with the newest epoch's metrics beside it.

    Redrawn a few times a second at the most, whatever a step takes; on a screen that is none (a file, a cluster's
    log) it writes a plain line every half minute.
    """

    EVERY = 0.25  # seconds
    EVERY_PLAIN = 30.0

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.bar: Bar | None = None
        self.task = TaskID(0)
        self.drawn = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the empty bar."""
        self.drawn = time.monotonic()
        if not (trainer.is_global_zero and self.console.is_terminal):
            return
        self.bar = Bar(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[metrics]}"),
            console=self.console,
            auto_refresh=False,
            transient=True,
        )
        total = trainer.estimated_stepping_batches
        self.task = self.bar.add_task("", total=total if total < float("inf") else None, epoch="1", metrics="")
        self.bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Redraw, if it is time."""
        if time.monotonic() - self.drawn >= (self.EVERY if self.bar else self.EVERY_PLAIN):
            self.draw(trainer)

    def draw(self, trainer: Trainer) -> None:
        """Show the step, the epoch and the newest metrics."""
        self.drawn = time.monotonic()
        if not trainer.is_global_zero:
            return
        epochs = f"{trainer.current_epoch + 1}" + (f"/{trainer.max_epochs}" if trainer.max_epochs else "")
        metrics = "  ".join(f"{name} {float(value):.4g}" for name, value in trainer.callback_metrics.items())
        if self.bar:
            self.bar.update(self.task, completed=trainer.global_step, epoch=epochs, metrics=metrics)
            self.bar.refresh()
        else:
            self.console.print(
                f"epoch {epochs}  step {trainer.global_step}  {metrics}", highlight=False, soft_wrap=True
            )

    def stop(self) -> None:
        """Take the bar off the screen."""
        if self.bar:
            self.bar.stop()
            self.bar = None

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the bar off the screen: the results follow."""
        self.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Take the bar off the screen: the error follows."""
        self.stop()
