"""Shows examples of what a model is trained on and what it predicts, in the terms of its task, on every logger."""

import time
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.loggers.logger import Logger, Table, loggers_of, shows
from lightning_modules.tasks import boards
from lightning_modules.tasks.task import Board, Task

SHOWN_IMAGES = 4 * boards.COLUMNS  # of the first training batch


class LoggerBoard(Board):
    """A task's images, figures, texts and tables on the loggers.

    Args:
        loggers: the destinations.
        step: that they belong to.
        split: the prefix of their names.
    """

    def __init__(self, loggers: Sequence[Logger], step: int, split: str) -> None:
        self.loggers = loggers
        self.step = step
        self.split = split

    def text(self, name: str, markdown: str) -> None:
        """Show a text or a table."""
        table = Table.parse(markdown)
        for logger in self.loggers:
            if table is None:
                logger.log_text(f"{self.split}/{name}", markdown, self.step)
            else:
                logger.log_table(f"{self.split}/{name}", table, self.step)

    def image(self, name: str, image: torch.Tensor) -> None:
        """Show an image, (C, H, W), from 0 to 1."""
        for logger in self.loggers:
            logger.log_image(f"{self.split}/{name}", image, self.step)

    def figure(self, name: str, figure: Any) -> None:
        """Show a matplotlib figure."""
        for logger in self.loggers:
            logger.log_figure(f"{self.split}/{name}", figure, self.step)


class LogExamples(Callback):
    """Lets the task show a validation batch at intervals, and a test batch and the test's results at the end.

    Of training images it shows the run's first batch, as the model gets it: augmented, with the classes' names.

    The validation batch is the middle one: where texts of similar length are batched, the first ones are the shortest.

    Args:
        seconds: minimum time between two validation batches, so that they cost a run next to nothing.
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
        board = self._board(trainer, "train")
        preview = data.preview(batch, SHOWN_IMAGES) if board is not None else None
        if board is not None and preview is not None:
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
        """Show the results of the full test split."""
        board = self._board(trainer, "test")
        if board is not None and isinstance(pl_module, Task):
            pl_module.show_results(board)

    def _show(self, trainer: Trainer, pl_module: LightningModule, batch: Any, split: str) -> None:
        board = self._board(trainer, split)
        if board is not None and isinstance(pl_module, Task):
            with torch.no_grad(), trainer.precision_plugin.forward_context():
                pl_module.show(batch, board)

    def _board(self, trainer: Trainer, split: str) -> LoggerBoard | None:
        """What shows on all loggers; None where no logger would keep it, as in every process but the first."""
        destinations = [logger for logger in loggers_of(trainer) if shows(logger)]
        step = max(trainer.global_step - 1, 0)  # the newest step, as Lightning counts
        return LoggerBoard(destinations, step, split) if destinations else None


def _middle(num_batches: Sequence[float]) -> int:
    return int(num_batches[0]) // 2 if num_batches[0] < float("inf") else 0
