"""A run's metrics, images, figures and texts as TensorBoard events."""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from torch import Tensor

from callbacks.loggers.logger import Logger
from callbacks.loggers.run_table import BASELINE, BEST, TEST, RunTable
from callbacks.private.tensorboard import OpenFileWriter
from callbacks.run.run_folder import RunFolder

RATE = "lr-"  # which the names of LearningRateMonitor's scalars begin with
ELSEWHERE = {"train/gradient_norm": "optimizer/gradient_norm"}
LATER = ("machine/", "optimizer/", TEST)  # groups behind those two
MARK = "» "  # sorts behind every letter


class TensorBoardLogger(Logger):
    """Writes `events.out.tfevents.*`, flushed at most once a second: an epoch may take milliseconds.

    The dashboard opens with what is under `train/` and `val/`. Scores of the test, which would be charts of one point,
    are a text and in the table of runs. Lightning's own logger opens its file before it is known which step a run is
    resumed at.

    Args:
        run: the run's folder.
    """

    def __init__(self, run: RunFolder) -> None:
        super().__init__(run)
        self.table = RunTable(run)
        self._writer: OpenFileWriter | None = None
        self._purge_step: int | None = None
        self._flushed_at = 0.0

    @property
    def writer(self) -> OpenFileWriter:
        """The writer of the events; opens the file."""
        if self._writer is None:
            self._writer = OpenFileWriter(self.save_dir, purge_step=self._purge_step)
        return self._writer

    def log_row(self, columns: dict[str, Any]) -> None:
        """Set the run's row in the table of runs."""
        self.table.columns = dict(columns)

    def begin(self, settings: dict[str, Any], metrics: list[str]) -> None:
        """Enter the run into the table of runs."""
        self.table.metrics = metrics
        self.table.write()

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log scalars."""
        scores = {name: float(value) for name, value in metrics.items() if name.startswith((TEST, BASELINE))}
        self.table.scores |= scores
        if scores:
            self.log_text("run/scores", self.table.scores_table(), step or 0)
        curves = {name: value for name, value in metrics.items() if name not in scores and name != "epoch"}
        for name, value in rates_as_one(curves).items():
            self.writer.add_scalar(placed(name), value, step)

    def log_best(self, name: str, value: float, step: int) -> None:
        """Log the best value so far of the monitored metric, beside its curve."""
        self.table.set_best(name, value)
        self.log_metrics({f"{name.removeprefix(BEST)}_best": value}, step)

    def log_image(self, name: str, image: Tensor, step: int) -> None:
        """Log an image, (C, H, W), from 0 to 1."""
        self.writer.add_image(placed(name), image, step)

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
        """Flush and close; enter the results, if the run has begun."""
        self._flushed_at = 0.0
        if self._writer is not None:
            self._writer.flush()
            self._writer.close()
        if self.table.metrics:
            with suppress(OSError):  # of a folder that is gone, or a full disk: what ends the run is said elsewhere
                self.table.write(status == "success")


def placed(name: str) -> str:
    """The tag of what is logged by that name: TensorBoard sorts by tags, and `train/` and `val/` come first."""
    name = ELSEWHERE.get(name, name)
    return f"{MARK}{name}" if name.startswith(LATER) else name


def rates_as_one(metrics: dict[str, float]) -> dict[str, float]:
    """Scalars with learning rates that are the same in all parameter groups as one, and others beside the highest."""
    rates = {name: value for name, value in metrics.items() if name.startswith(RATE)}
    if not rates:
        return metrics
    highest = max(rates.values())
    others = {name: value for name, value in metrics.items() if name not in rates}
    several = {
        f"optimizer/learning_rate/{name.removeprefix(RATE)}": value for name, value in rates.items() if value != highest
    }
    return {**others, "optimizer/learning_rate": highest, **several}
