"""The runs that a command is about, and their order."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scripts.cli.errors import UsageError, did_you_mean
from scripts.cli.runs.recorded_run import STATUSES, RecordedRun
from scripts.cli.runs.run_folders import find_runs

COLUMNS: dict[str, Callable[[RecordedRun], Any]] = {
    "run": lambda run: run.name,
    "model": lambda run: run.model,
    "data": lambda run: run.data_shown,
    "status": lambda run: run.status,
    "monitor": lambda run: run.monitor,
    "best": lambda run: run.best,
    "test": lambda run: run.test.get(run.monitor.rpartition("/")[2]),
    "time": lambda run: run.seconds,
    "when": lambda run: run.when,
}


def all_runs(logs: Path) -> list[RecordedRun]:
    """Every run under a folder.

    Raises:
        UsageError: there is no such folder.
    """
    if not logs.is_dir():
        raise UsageError(f"{logs}: there is no such folder of runs; --logs names another")
    return find_runs(logs)


class Choice:
    """The runs of these models, data sets and statuses; all where none is given.

    Args:
        runs: to choose from.
        model: names of models.
        data: names or paths of data sets.
        status: of STATUSES.

    Raises:
        UsageError: there is no such status, or no run of a model or a data set.
    """

    def __init__(
        self, runs: Sequence[RecordedRun], model: Sequence[str], data: Sequence[str], status: Sequence[str] = ()
    ) -> None:
        for each in status:
            if each not in STATUSES:
                raise UsageError(f"--status {each}: expected {', '.join(STATUSES)}{did_you_mean(each, STATUSES)}")
        self.model, self.data, self.status = {*model}, {*data}, {*status}
        for option, given, known in (
            ("--model", model, {run.model for run in runs} if model else set()),
            ("--data", data, {name for run in runs for name in (run.data, run.data_shown)} if data else set()),
        ):
            for each in given:
                if each not in known:
                    raise UsageError(f"{option} {each}: no run here is of it{did_you_mean(each, known)}")
        self.runs = [run for run in runs if self.has(run)]

    def has(self, run: RecordedRun) -> bool:
        """Whether a run is one of them."""
        return (
            (not self.model or run.model in self.model)
            and (not self.data or run.data in self.data or run.data_shown in self.data)
            and (not self.status or run.status in self.status)
        )


def value_of(run: RecordedRun, column: str) -> Any:
    """A run's value in a column, or of a metric or a setting; None where it has none.

    A metric is a test score, but for val/ before the monitored one, which is its best.
    """
    if column in COLUMNS:
        return COLUMNS[column](run)
    if column == run.monitor:
        return run.best
    if column.startswith("val/"):
        values = [value for _, value in run.curve(column)]
        return (min if run.mode(column) == "min" else max)(values, default=None)
    tested = run.test.get(column.removeprefix("test/"))
    return tested if tested is not None else run.all_settings.get(column)


def ordered(runs: Sequence[RecordedRun], column: str) -> list[RecordedRun]:
    """The runs in the order of a column, a metric or a setting; those without a value come last.

    Args:
        runs: to order.
        column: with a minus sign before it the largest comes first.

    Raises:
        UsageError: no run has it.
    """
    name = column.removeprefix("-")
    values = [value_of(run, name) for run in runs]
    if name not in COLUMNS and runs and all(value is None for value in values):
        known = [*COLUMNS, *(metric for run in runs for metric in (*run.test, run.monitor, *run.all_settings))]
        raise UsageError(
            f"--sort {name}: no run here has it{did_you_mean(name, known)} ({', '.join(COLUMNS)}, a metric "
            f"such as val/loss or accuracy, or a setting such as model.dropout)"
        )
    pairs = [(value, run) for value, run in zip(values, runs, strict=True) if value not in (None, "")]
    pairs.sort(key=lambda pair: _natural(pair[0]), reverse=column.startswith("-"))
    return [run for _, run in pairs] + [run for value, run in zip(values, runs, strict=True) if value in (None, "")]


def _natural(value: Any) -> tuple[Any, ...]:
    """Numbers by size, before texts, in which numbers are by size too: version_10 after version_9."""
    if isinstance(value, int | float):
        return (0, value)
    parts = re.split(r"(\d+)", str(value))
    return (1, [(part if index % 2 == 0 else "", int(part) if index % 2 else 0) for index, part in enumerate(parts)])
