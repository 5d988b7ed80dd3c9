"""A run's metrics, images, figures and texts as TensorBoard events."""

import time
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.utils.tensorboard.summary import hparams

from callbacks.loggers.logger import Logger
from callbacks.private.tensorboard import OpenFileWriter
from callbacks.run.run_folder import RunFolder
from datamodules.files.paths import printable


class TensorBoardLogger(Logger):
    """Writes `events.out.tfevents.*`, flushed at most once a second: an epoch may take milliseconds.

    Lightning's own opens its file before it is known which step a run is resumed at.

    Args:
        run: the run's folder.
    """

    def __init__(self, run: RunFolder) -> None:
        super().__init__(run)
        self._writer: OpenFileWriter | None = None
        self._purge_step: int | None = None
        self._flushed_at = 0.0

    @property
    def writer(self) -> OpenFileWriter:
        """The writer of the events; opens the file."""
        if self._writer is None:
            self._writer = OpenFileWriter(self.save_dir, purge_step=self._purge_step)
        return self._writer

    def begin(self, settings: dict[str, Any], metrics: list[str]) -> None:
        """Enter the run into the table of runs, which shows the newest value of each metric."""
        shown = {name: printable(value) if isinstance(value, str) else value for name, value in settings.items()}
        file: Any = self.writer.file_writer
        for summary in hparams(shown, dict.fromkeys(metrics)):
            file.add_summary(summary)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log scalars."""
        for name, value in metrics.items():
            self.writer.add_scalar(name, value, step)

    def log_best(self, name: str, value: float, step: int) -> None:
        """Log the best value so far of the monitored metric."""
        self.log_metrics({name: value}, step)

    def log_image(self, name: str, image: Tensor, step: int) -> None:
        """Log an image, (C, H, W), from 0 to 1."""
        self.writer.add_image(name, image, step)

    def log_figure(self, name: str, figure: Any, step: int) -> None:
        """Log a matplotlib figure."""
        self.writer.add_figure(name, figure, step)

    def log_embedding(
        self, name: str, vectors: Tensor, labels: Sequence[str], images: Tensor | None, step: int
    ) -> None:
        """Log points in space for the projector."""
        self.writer.add_embedding(vectors, metadata=[*labels], label_img=images, global_step=step, tag=name)

    def log_text(self, name: str, markdown: str, step: int) -> None:
        """Log a text in Markdown."""
        self.writer.add_text(name, markdown, step)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Flush: a resumed run does not log it again."""
        self.flush()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Have TensorBoard discard what was logged from the checkpoint's step on."""
        self._purge_step = checkpoint["global_step"]
        self._writer = None  # the next event opens a file that says so

    def save(self) -> None:
        """Flush, if the last time was a second ago."""
        if time.monotonic() - self._flushed_at >= 1:
            self.flush()

    def flush(self) -> None:
        """Write what is buffered."""
        self.writer.flush()
        self._flushed_at = time.monotonic()

    def finalize(self, status: str) -> None:
        """Flush and close."""
        self._flushed_at = 0.0
        if self._writer is not None:
            self._writer.flush()
            self._writer.close()
