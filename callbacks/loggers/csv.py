"""A run's metrics as a CSV file."""

import csv
import io
import time
from pathlib import Path
from typing import Any

from callbacks.loggers.logger import Logger
from callbacks.run.run_folder import RunFolder
from datamodules.files.paths import regular
from datamodules.storage.atomic_file import TRANSIENT_ERRORS, write_file

KEY = "metrics_file"  # in a checkpoint


class CSVLogger(Logger):
    """Writes `metrics.csv`: a row per step at which anything was logged, a column per metric, and `step` and `epoch`.

    The file is updated at most once a second, and at the end of the run. Images, texts and tables are discarded.

    Args:
        run: the run's folder, which is checked before each write.
    """

    def __init__(self, run: RunFolder) -> None:
        super().__init__(run)
        self.columns = ["epoch", "step"]
        self.rows: list[dict[str, Any]] = []  # not yet in the file, but for the last, which may still grow
        self.written = 0  # rows in the file
        self.rewrite = True
        self._saved_at = 0.0

    @property
    def path(self) -> Path:
        """The file."""
        return self.run.path / "metrics.csv"

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

    def log_usage(self, usage: dict[str, float], step: int) -> None:
        """Nothing: the file of a run that is repeated, or resumed, is the same to the byte."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the number of rows in the file, and the rows that are not in it yet."""
        pending = [dict(row) for row in self.rows]
        checkpoint[KEY] = {"rows": self.written, "columns": list(self.columns), "pending": pending}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the file as it was when the checkpoint was saved."""
        rows = self._read()
        if KEY in checkpoint:
            state = checkpoint[KEY]
        else:  # saved by a run that was resumed without this logger: what it had written before is kept
            written = sum(int(row["step"]) < checkpoint["global_step"] for row in rows)
            state = {"rows": written, "columns": list(rows[0]) if rows else self.columns, "pending": []}
        rows = rows[: state["rows"]]
        self.path.unlink(missing_ok=True)
        self.columns, self.rewrite, self.written = list(state["columns"]), True, 0
        self._write([{name: row.get(name, "") for name in self.columns} for row in rows])
        self.rows = [dict(row) for row in state["pending"]]

    def save(self) -> None:
        """Update the file, if the last time was a second ago."""
        if self.rows and time.monotonic() - self._saved_at >= 1:
            self._saved_at = time.monotonic()
            try:
                self._write(self.rows[:-1])
            except OSError as error:
                if error.errno not in TRANSIENT_ERRORS:
                    raise
            else:  # otherwise they are kept until the network file system is back
                self.rows = self.rows[-1:]

    def finalize(self, status: str) -> None:
        """Write what is left."""
        if self.rows:
            self._write(self.rows)
            self.rows = []

    def _read(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        with regular(self.path).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def _write(self, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        self.run.check()
        if self.rewrite:
            old = self._read()[: self.written]
            text = io.StringIO()
            writer = csv.DictWriter(text, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows([*old, *rows])
            write_file(self.path, lambda file: file.write(text.getvalue().encode()))
        else:
            self.rewrite = True  # unless all of these rows arrive
            with self.path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self.columns, lineterminator="\n").writerows(rows)
        self.rewrite = False
        self.written += len(rows)
