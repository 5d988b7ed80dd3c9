"""A run's metrics as a CSV file."""

import csv
import io
import time
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from callbacks.run.run_folder import RunFolder
from datamodules.files.paths import regular
from datamodules.storage.atomic_file import PASSING, write_file


class MetricsFile(Logger):
    """Writes `metrics.csv`: a row a step at which anything was logged, a column a metric, and `step` and `epoch`.

    The file is brought up to date at most once a second, and at the end of the run.

    Args:
        run: the run's folder, which is looked at before each writing.
    """

    def __init__(self, run: RunFolder) -> None:
        super().__init__()
        self.run = run
        self.columns = ["epoch", "step"]
        self.rows: list[dict[str, Any]] = []  # not yet in the file, but for the last, which may still grow
        self.written = 0  # rows in the file
        self.rewrite = True
        self._saved_at = 0.0

    @property
    def path(self) -> Path:
        """The file."""
        return self.run.path / "metrics.csv"

    @property
    def name(self) -> str:
        """The run's model."""
        return self.path.parent.parent.name

    @property
    def version(self) -> str:
        """The run's folder."""
        return self.path.parent.name

    @property
    def log_dir(self) -> str:
        """The run's folder, whole."""
        return str(self.path.parent)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: they stand in config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add metrics to the step's row."""
        row: dict[str, Any] = {"step": step, **{name: float(value) for name, value in metrics.items()}}
        if "epoch" in row:
            row["epoch"] = int(row["epoch"])
        if self.rows and self.rows[-1]["step"] == step:
            self.rows[-1].update(row)
        else:
            self.rows.append(row)
        new = [name for name in row if name not in self.columns]
        if new:
            self.columns += sorted(new)
            self.rewrite = True

    @property
    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps for `go_back`: how far the file is, and what is not in it yet."""
        return {"rows": self.written, "columns": list(self.columns), "pending": [dict(row) for row in self.rows]}

    @rank_zero_only
    def go_back(self, state: dict[str, Any]) -> None:
        """Make the file what it was: a resumed run goes on from there."""
        rows: list[dict[str, Any]] = []
        if self.path.exists():
            with regular(self.path).open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))[: state["rows"]]
            self.path.unlink()
        self.columns, self.rewrite, self.written = list(state["columns"]), True, 0
        self._write([{name: row.get(name, "") for name in self.columns} for row in rows])
        self.rows = [dict(row) for row in state["pending"]]

    @rank_zero_only
    def save(self) -> None:
        """Bring the file up to date, if it is time."""
        if self.rows and time.monotonic() - self._saved_at >= 1:
            self._saved_at = time.monotonic()
            try:
                self._write(self.rows[:-1])
            except OSError as error:
                if error.errno not in PASSING:
                    raise
            else:  # otherwise they wait, until the network file system is back
                self.rows = self.rows[-1:]

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is left."""
        if self.rows:
            self._write(self.rows)
            self.rows = []

    def _write(self, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        self.run.check()
        if self.rewrite:
            old = []
            if self.path.exists():
                with regular(self.path).open(newline="", encoding="utf-8") as file:
                    old = list(csv.DictReader(file))[: self.written]
            text = io.StringIO()
            writer = csv.DictWriter(text, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows([*old, *rows])
            write_file(self.path, lambda whole: whole.write(text.getvalue().encode()))
        else:
            self.rewrite = True  # unless all of these rows arrive
            with self.path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self.columns, lineterminator="\n").writerows(rows)
        self.rewrite = False
        self.written += len(rows)
