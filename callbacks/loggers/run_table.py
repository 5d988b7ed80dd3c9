"""A run's row in TensorBoard's table of runs, and its test scores as a table in Markdown."""

import math
import re
import time
from contextlib import suppress
from typing import Any

from torch.utils.tensorboard.summary import custom_scalars

from callbacks.private.tensorboard import session_end, session_start, write_events
from callbacks.run.run_folder import RunFolder
from datamodules.files.paths import printable

FILE = "events.out.tfevents.0000000000.table"  # of an earlier time than any other, which is read first
BEST, TEST, BASELINE = "best/", "test/", "baseline/"
PAIR = "train and val"


class RunTable:
    """Writes the row into an event file of its own, which is replaced when more is known.

    TensorBoard keeps the first row of a run that it reads: one that is open during a run shows test scores in its table
    after it is started again. It sorts columns by whether runs differ in them and then by name, and shows the first
    five: that is why `Best val/accuracy` and `Test accuracy` have capitals, and baselines come after the settings.

    Args:
        run: the run's folder.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.columns: dict[str, Any] = {}
        self.scores: dict[str, float] = {}  # of the test and of the baselines, by their full names
        self.metrics: list[str] = []
        self.began = time.time()

    def set_best(self, name: str, value: float) -> None:
        """Enter the best value so far of `best/<metric>`."""
        self.columns[name] = value

    def row(self) -> dict[str, Any]:
        """The row, by the names of its columns."""
        monitored = next((name.split("/")[-1] for name in self.metrics if name.startswith(BEST)), "loss")
        row = {}
        for name, value in (self.columns | self.scores).items():
            if isinstance(value, float) and not math.isfinite(value):
                continue  # JSON has no such number
            shown = printable(value) if isinstance(value, str) else value
            row[_column(name, monitored)] = shown
        return row

    def write(self, success: bool | None = None) -> None:
        """Write the row, and the layout of the charts that train and validation share.

        Args:
            success: whether the run has ended well; None while it goes on.
        """
        self.run.check()
        summaries = [session_start(self.row(), self.began), custom_scalars(layout(self.metrics))]
        if success is not None:
            summaries.append(session_end(success))
        with suppress(PermissionError):  # on Windows a file that TensorBoard has open is not replaced
            write_events(self.run.path / FILE, summaries)

    def scores_table(self) -> str:
        """The test's scores beside the baselines', in Markdown; then those that only a baseline has."""
        tested = {name.removeprefix(TEST): value for name, value in self.scores.items() if name.startswith(TEST)}
        baseline = {
            name.removeprefix(BASELINE): value for name, value in self.scores.items() if name.startswith(BASELINE)
        }
        cells = [[name, _shown(tested.get(name)), _shown(baseline.get(name))] for name in tested | baseline]
        lines = [["", "test", "baseline"], ["---", "---:", "---:"], *cells]
        return "\n".join(f"| {' | '.join(line if baseline else line[:2])} |" for line in lines)


def layout(metrics: list[str]) -> dict[str, dict[str, list[Any]]]:
    """A chart for each metric of the validation, with that of the training where it has one.

    Args:
        metrics: names of what runs are compared by, such as `best/val/loss` and `test/accuracy`.
    """
    names = dict.fromkeys(["loss", *(name.split("/")[-1] for name in metrics)])
    return {
        PAIR: {name: ["Multiline", [f"^{split}/{re.escape(name)}$" for split in ("train", "val")]] for name in names}
    }


def _column(name: str, monitored: str) -> str:
    if name.startswith(BEST):
        return f"Best {name.removeprefix(BEST)}"
    if name == f"{TEST}{monitored}":
        return f"Test {monitored}"
    return f"{TEST}{name.removeprefix(BASELINE)} (baseline)" if name.startswith(BASELINE) else name


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
