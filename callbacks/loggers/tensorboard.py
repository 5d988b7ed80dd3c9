"""What a run writes for TensorBoard."""

import time
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from callbacks.run.run_folder import RunFolder
from datamodules.files.paths import printable


class Events(SummaryWriter):
    """Writes into files that stay open.

    TensorBoard opens its file anew for each record, in a thread that prints a traceback where the run's folder is
    gone, and makes the file in a folder that has taken its place.
    """

    def _get_file_writer(self) -> Any:
        before = self.file_writer
        writer = super()._get_file_writer()
        if writer is not before:
            writer.flush()  # the thread has nothing to do
            records = writer.event_writer._async_writer._writer
            records._writer = (Path(self.log_dir) / writer.event_writer._file_name).open("ab")  # which it closes
        return writer


class Dashboard(TensorBoardLogger):
    """TensorBoard events, flushed at most once a second: an epoch may take milliseconds.

    The settings stand in the run's own config.yaml, so no hparams.yaml is written.

    Args:
        run: the run's folder.
    """

    def __init__(self, run: RunFolder) -> None:
        super().__init__("", default_hp_metric=False)
        self.run = run
        self._flushed_at = 0.0

    @property
    def log_dir(self) -> str:
        """The run's folder."""
        return str(self.run.path)

    @property
    def root_dir(self) -> str:
        """The folder of all runs of this model."""
        return str(self.run.path.parent)

    @property
    def save_dir(self) -> str:
        """The folder of all runs."""
        return str(self.run.path.parent.parent)

    @property
    def name(self) -> str:
        """The run's model."""
        return self.run.path.parent.name

    @property
    def version(self) -> str:
        """The name of the run's folder."""
        return self.run.path.name

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """What writes the events."""
        if self._experiment is None:
            self._experiment = Events(log_dir=self.log_dir, **self._kwargs)
        return self._experiment

    def go_back(self, step: int) -> None:
        """Have TensorBoard forget what was logged from this step on: a resumed run logs it again."""
        self._kwargs["purge_step"] = step
        self._experiment = None  # the next event opens a file that says so

    @rank_zero_only
    def log_settings(self, settings: dict[str, Any], metrics: list[str]) -> None:
        """Enter the run into TensorBoard's table of runs.

        Args:
            settings: numbers, texts and truth values.
            metrics: names that stand beside them; the table shows the newest value logged under each.
        """
        shown = {name: printable(value) if isinstance(value, str) else value for name, value in settings.items()}
        for summary in hparams(shown, dict.fromkeys(metrics)):
            self.experiment.file_writer.add_summary(summary)

    def save(self) -> None:
        """Flush, if it is time."""
        if time.monotonic() - self._flushed_at >= 1:
            self.flush()

    @rank_zero_only
    def flush(self) -> None:
        """Write what waits."""
        self.experiment.flush()
        self._flushed_at = time.monotonic()

    def finalize(self, status: str) -> None:
        """Flush and close."""
        self._flushed_at = 0.0
        super().finalize(status)
