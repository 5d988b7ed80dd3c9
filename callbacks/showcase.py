"""Puts what a model learned, in the terms of its task, into the dashboard."""

import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.dashboard import Dashboard
from lightning_modules.tasks.task import Board, Task


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
    """Lets the task show its first validation batch now and then, and its test results at the end.

    Args:
        seconds: least time between two showings, so that they cost a run next to nothing.
    """

    def __init__(self, seconds: float = 20.0) -> None:
        self.seconds = seconds
        self._shown_at = time.monotonic()
        self._batch: Any = None

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *args: Any
    ) -> None:
        """Keep the first batch, if it is time to show it."""
        if batch_idx == 0 and not trainer.sanity_checking and time.monotonic() - self._shown_at >= self.seconds:
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
        """Show the first test batch."""
        if batch_idx == 0:
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
            TensorBoard(logger, trainer.global_step, split)
            for logger in trainer.loggers
            if isinstance(logger, Dashboard)
        ]
