"""What a run writes for TensorBoard."""

import time
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.tensorboard.summary import hparams


class Dashboard(TensorBoardLogger):
    """TensorBoard events, flushed at most once a second: an epoch may take milliseconds.

    The settings stand in the run's own config.yaml, so no hparams.yaml is written.
    """

    def __init__(self, save_dir: Any, **kwargs: Any) -> None:
        super().__init__(save_dir, default_hp_metric=False, **kwargs)
        self._flushed_at = 0.0

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
        for summary in hparams(settings, dict.fromkeys(metrics)):
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
