"""Puts what a model learned, in the terms of its task, into the dashboard."""

import time
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.loggers.tensorboard import Dashboard
from lightning_modules.tasks import boards
from lightning_modules.tasks.task import Board, Task

SHOWN_IMAGES = 4 * boards.COLUMNS  # of the first training batch


class TensorBoard(Board):
    """A task's pictures and texts on TensorBoard.

    Args:
        dashboard: where they go.
        step: that they belong to.
        split: goes before their names.
    """

    def __init__(self, dashboard: Dashboard, step: int, split: str) -> None:
        self.dashboard = dashboard
        self.step = step
        self.split = split

    def text(self, name: str, markdown: str) -> None:
        """Show a text."""
        self.dashboard.experiment.add_text(f"{self.split}/{name}", markdown, self.step)

    def image(self, name: str, image: torch.Tensor) -> None:
        """Show a picture, (C, H, W), from 0 to 1."""
        self.dashboard.experiment.add_image(f"{self.split}/{name}", image, self.step)

    def figure(self, name: str, figure: Any) -> None:
        """Show a matplotlib figure."""
        self.dashboard.experiment.add_figure(f"{self.split}/{name}", figure, self.step)


class Showcase(Callback):
    """Lets the task show a validation batch now and then, and a test batch and the test's results at the end.

    Of training images it shows the run's first batch, as the model gets it: augmented, with the classes' names.

    The validation batch is the middle one: where texts of like length share a batch, the first ones are the shortest.

    Args:
        seconds: least time between two showings, so that they cost a run next to nothing.
    """

    def __init__(self, seconds: float = 20.0) -> None:
        self.seconds = seconds
        self._shown_at = time.monotonic()
        self._batch: Any = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Show the images of the run's first batch."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if trainer.global_step or batch_idx or data is None:
            return
        preview = data.preview(batch, SHOWN_IMAGES)
        if preview is None:
            return
        for board in self._boards(trainer, "train"):
            board.image("first batch", boards.grid(preview.images, stretch=False))
            board.text("first batch", boards.grid_table(boards.class_labels(preview.target, preview.class_names)))

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *args: Any
    ) -> None:
        """Keep the middle batch, if it is time to show it."""
        if trainer.sanity_checking or time.monotonic() - self._shown_at < self.seconds:
            return
        if batch_idx == _middle(trainer.num_val_batches):
            self._batch = batch

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the batch that was kept."""
        if self._batch is not None:
            self._show(trainer, pl_module, self._batch, "val")
            self._batch = None
            self._shown_at = time.monotonic()

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *args: Any
    ) -> None:
        """Show the middle test batch."""
        if batch_idx == _middle(trainer.num_test_batches):
            self._show(trainer, pl_module, batch, "test")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show what the whole test split came to."""
        if isinstance(pl_module, Task):
            for board in self._boards(trainer, "test"):
                pl_module.show_results(board)

    def _show(self, trainer: Trainer, pl_module: LightningModule, batch: Any, split: str) -> None:
        if isinstance(pl_module, Task):
            for board in self._boards(trainer, split):
                with torch.no_grad(), trainer.precision_plugin.forward_context():
                    pl_module.show(batch, board)

    def _boards(self, trainer: Trainer, split: str) -> list[TensorBoard]:
        if not trainer.is_global_zero:
            return []
        return [
            TensorBoard(logger, max(trainer.global_step - 1, 0), split)  # the newest step, as Lightning counts
            for logger in trainer.loggers
            if isinstance(logger, Dashboard)
        ]


def _middle(num_batches: Sequence[float]) -> int:
    return int(num_batches[0]) // 2 if num_batches[0] < float("inf") else 0
