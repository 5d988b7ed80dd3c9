"""Shows examples of what a model is trained on and what it predicts, in the terms of its task, on every logger."""

import time
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.loggers.logger import Logger, Table, loggers_of, shows
from callbacks.loggers.outcomes import outcomes_of
from callbacks.loggers.pictures import Pictures
from callbacks.run.not_fatal import not_fatal
from datamodules.base import DataModule
from lightning_modules.tasks import boards
from lightning_modules.tasks.pictures.figure import figure_file, style
from lightning_modules.tasks.pictures.images import captioned
from lightning_modules.tasks.task import Board, Task

SHOWN_IMAGES = 3 * boards.COLUMNS  # of the first training batch
SHOWN = "further pictures were"  # where one fails
NUM_WORST = 16  # examples of the test
PART_OF_TIME = 0.01  # of a run that may be spent on showing validation batches


class LoggerBoard(Board):
    """A task's images, figures, texts and tables on the loggers, and in the run's folder.

    Args:
        loggers: the destinations.
        step: that they belong to.
        split: the prefix of their names.
        pictures: the files.
        data: whose images are shown.
    """

    def __init__(
        self,
        loggers: Sequence[Logger],
        step: int,
        split: str,
        pictures: Pictures | None = None,
        data: DataModule | None = None,
    ) -> None:
        self.loggers = loggers
        self.step = step
        self.split = split
        self.pictures = pictures
        self.data = data
        self.names: Sequence[str] = ()

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
        if self.pictures is not None:
            self.pictures.image(f"{self.split}/{name}", image)
        for logger in self.loggers:
            logger.log_image(f"{self.split}/{name}", image, self.step)

    def figure(self, name: str, figure: Any) -> None:
        """Show a matplotlib figure; it is drawn once for all."""
        content = figure_file(figure, "png")
        if self.pictures is not None:
            self.pictures.drawing(f"{self.split}/{name}", content, figure_file(figure, "svg"))
        for logger in self.loggers:
            logger.log_image(f"{self.split}/{name}", boards.from_png(content), self.step)

    def pixels(self, batch: Any) -> torch.Tensor | None:
        """The images of a batch as they were before they were normalised, (B, C, H, W) from 0 to 1; None without."""
        preview = None if self.data is None else self.data.preview(batch, len(batch[0]))
        return None if preview is None else preview.images

    def embedding(
        self, name: str, vectors: torch.Tensor, labels: Sequence[str], images: torch.Tensor | None = None
    ) -> None:
        """Show points in space."""
        for logger in self.loggers:
            logger.log_embedding(f"{self.split}/{name}", vectors, labels, images, self.step)


class LogExamples(Callback):
    """Lets the task show a validation batch at intervals, and what the test has found at its end.

    Of training it shows the run's first batch as the model gets it: images augmented, with the classes' names; texts of
    a language model with the tokens that count.

    The validation batch is the middle one: where texts of similar length are batched, the first ones are the shortest.

    Args:
        pictures: the files that they are written to as well; None for no files.
        seconds: minimum time between two validation batches.
    """

    def __init__(self, pictures: Pictures | None = None, seconds: float = 20.0) -> None:
        self.pictures = pictures
        self.seconds = seconds
        self._next = time.monotonic() + seconds
        self._batch: Any = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Show the run's first batch: its images, or what the task shows of it."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        board = None if trainer.global_step or batch_idx or data is None else self._board(trainer, "train")
        if board is None:
            return
        with not_fatal(SHOWN):
            preview = data.preview(batch, SHOWN_IMAGES)
            if preview is not None:
                labels = boards.class_labels(preview.target, preview.class_names)
                with style():
                    board.figure(boards.FIRST_BATCH, captioned(preview.images, labels))
            if isinstance(pl_module, Task):
                pl_module.show_first(batch, board)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *args: Any
    ) -> None:
        """Keep the middle batch, if it is time to show it."""
        if trainer.sanity_checking or time.monotonic() < self._next:
            return
        if batch_idx == _middle(trainer.num_val_batches):
            self._batch = batch

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the batch that was kept; the slower that is, the later the next one."""
        board = self._board(trainer, "val")
        if self._batch is not None and board is not None and isinstance(pl_module, Task):
            began = time.monotonic()
            with not_fatal(SHOWN), torch.no_grad(), trainer.precision_plugin.forward_context(), style():
                pl_module.show(self._batch, board)
            cost = time.monotonic() - began
            self._next = time.monotonic() + max(self.seconds, cost / PART_OF_TIME)
        self._batch = None

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *args: Any
    ) -> None:
        """Keep the middle batch, for data whose examples cannot be read again."""
        if batch_idx == _middle(trainer.num_test_batches):
            self._batch = batch

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the worst examples of the test split, and the results of all of it."""
        board, batch, outcomes = self._board(trainer, "test"), self._batch, outcomes_of(trainer)
        self._batch = None
        if board is None or not isinstance(pl_module, Task):
            return
        context = trainer.precision_plugin.forward_context()
        with not_fatal(SHOWN), torch.inference_mode(False), torch.no_grad(), context, style():
            if outcomes is not None and outcomes.data is not None:
                worst = outcomes.take(outcomes.worst(NUM_WORST))
                board.names, batch = worst.names(), worst.batch(pl_module.device)
            pl_module.show(batch, board)
            pl_module.show_results(board, outcomes)

    def _board(self, trainer: Trainer, split: str) -> LoggerBoard | None:
        """What shows on all loggers; None where nothing would keep it, as in every process but the first."""
        if not trainer.is_global_zero:
            return None
        destinations = [logger for logger in loggers_of(trainer) if shows(logger)]
        step = max(trainer.global_step - 1, 0)  # the newest step, as Lightning counts
        if not destinations and self.pictures is None:
            return None
        return LoggerBoard(destinations, step, split, self.pictures, trainer.datamodule)  # type: ignore[attr-defined]


def _middle(num_batches: Sequence[float]) -> int:
    return int(num_batches[0]) // 2 if num_batches[0] < float("inf") else 0
