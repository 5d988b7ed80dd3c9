"""A run as its folder tells of it, whatever is missing or damaged there."""

import csv
import math
import os
import re
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from datamodules.errors import UserError
from datamodules.files.paths import printable, regular
from datamodules.storage.class_source import attribute, literal
from datamodules.storage.locks import marker_of
from scripts.cli.command_line.recipes import Config
from scripts.cli.run.files import is_held, read_json
from scripts.cli.runs.changed_settings import changed_settings, section, short_names
from scripts.cli.runs.config_text import read_config

FINISHED, PARTIAL, RUNNING, STOPPED, FAILED, DAMAGED, UNREADABLE = (
    "finished",
    "partial",
    "running",
    "stopped",
    "failed",
    "damaged",
    "unreadable",
)
STATUSES = {
    FINISHED: "trained and tested",
    PARTIAL: "the same, on a part of the data, as --trainer's limits had it",
    RUNNING: "a process writes there",
    STOPPED: "ended before its test, with a checkpoint: --resume resumes it",
    FAILED: "ended before its first checkpoint",
    DAMAGED: "its results cannot be read",
    UNREADABLE: "its folder cannot be read",
}
OF_PART = re.compile(r"(trial|fold)_\d+")  # the folder of a trial, or of a fold, above that of its run


class RecordedRun:
    """What a run's folder says, each file read when it is first asked for.

    Args:
        folder: of the run.
        logs: of all runs.
        entries: of the folder, by their names.
        plan: `sweep` or `cross-validation` where the run is part of one.
        is_linked: whether the folder is behind a link.
        problem: why the folder cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        logs: Path,
        entries: Mapping[str, "os.DirEntry[str]"],
        plan: str = "",
        is_linked: bool = False,
        problem: str = "",
    ) -> None:
        self.folder = folder
        self.logs = logs
        self.entries = entries
        self.plan = plan
        self.is_linked = is_linked
        self.problem = problem
        self.notes = [problem] if problem else []

    @cached_property
    def name(self) -> str:
        """The folder's path under that of all runs; of a trial or a fold, the trial's or fold's."""
        try:
            parts = self.folder.relative_to(self.logs).parts
        except ValueError:
            return str(self.folder)
        if len(parts) >= 3 and parts[-1] == "version_0" and OF_PART.fullmatch(parts[-3]):
            parts = parts[:-2]
        return "/".join(parts) if parts else self.folder.name

    @cached_property
    def config(self) -> Config:
        """Its configuration; empty where there is none."""
        return self._read("config.yaml", read_config)

    @cached_property
    def results(self) -> dict[str, Any]:
        """What it has written at its end; empty before that."""
        return self._read("results.json", read_json)

    def _read(self, name: str, reader: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
        if name not in self.entries:
            return {}
        try:
            return reader(self.folder / name)
        except UserError as error:
            told = " ".join(str(error).replace(f"{self.folder}{os.sep}", "").split()).removeprefix("--config ")
            self.notes.append(told if len(told) < 200 else f"{told[:200]}…")
            return {}

    @cached_property
    def status(self) -> str:
        """One of STATUSES."""
        if self.problem:
            return UNREADABLE
        if "results.json" in self.entries:
            if not self.results:
                return DAMAGED
            return PARTIAL if self.results.get("partial") else FINISHED
        if self.is_running():
            return RUNNING
        return STOPPED if self.checkpoints else FAILED

    def is_running(self) -> bool:
        """Whether a process holds the run's lock."""
        lock = self.folder / ".lock"
        try:
            return (".lock" in self.entries or marker_of(lock).exists()) and is_held(lock)
        except (OSError, UserError) as error:
            self.notes.append(f"whether it is running cannot be seen ({getattr(error, 'strerror', error)})")
            return False

    @cached_property
    def checkpoints(self) -> list[Path]:
        """The files of its checkpoints."""
        if "checkpoints" not in self.entries:
            return []
        try:
            names = sorted(entry.name for entry in os.scandir(self.folder / "checkpoints"))
        except OSError as error:
            self.notes.append(f"checkpoints: cannot be read ({error.strerror})")
            return []
        return [self.folder / "checkpoints" / name for name in names if name.endswith(".ckpt") and name[0] != "."]

    @cached_property
    def model(self) -> str:
        """The model's name."""
        named = self.results.get("model") or section(self.config, "about").get("name")
        return str(named or self.folder.parent.name)

    @cached_property
    def data(self) -> str:
        """The name or the path of its data set; empty where it is not known."""
        arguments = section(section(self.config, "data"), "init_args")
        return str(self.results.get("data") or arguments.get("dataset") or "")

    @property
    def data_shown(self) -> str:
        """The name of its data set, or of its file or folder."""
        return printable(re.split(r"[/\\]", self.data.rstrip("/\\"))[-1])

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The settings that differ from the recipe."""
        return changed_settings(self.config) if self.config else {}

    @cached_property
    def all_settings(self) -> dict[str, Any]:
        """Every setting by the name of its option."""
        return short_names(self.config)

    @cached_property
    def monitor(self) -> str:
        """The metric that chooses the best checkpoint; empty where it is not known."""
        given = self.results.get("monitor") or section(section(self.config, "model"), "init_args").get("monitor")
        return str(given or literal(attribute(self._model_class, "default_monitor")) or "")

    @property
    def _model_class(self) -> str:
        return str(section(self.config, "model").get("class_path", ""))

    def mode(self, metric: str) -> str:
        """Whether a `min` or a `max` of a metric, named with or without its split, is best."""
        bare = metric.rpartition("/")[2]
        modes = self.results.get("modes")
        stated = modes.get(bare) if isinstance(modes, dict) else None
        if metric == self.monitor:
            stated = self.results.get("mode") or stated
        if stated in ("min", "max"):
            return str(stated)
        return "min" if bare in (literal(attribute(self._model_class, "lower_is_better")) or {"loss"}) else "max"

    @cached_property
    def best(self) -> float | None:
        """The monitored metric's best value; of a run without results, so far."""
        if "results.json" in self.entries:
            return number(self.results.get("best"))
        values = [value for _, value in self.curve(self.monitor)]
        return (min if self.mode(self.monitor) == "min" else max)(values, default=None)

    @cached_property
    def test(self) -> dict[str, float]:
        """Its test scores, those that are not numbers left out."""
        return numbers(self.results.get("test"))

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95 % intervals of its test scores, of those that have one."""
        given = self.results.get("intervals")
        pairs = given.items() if isinstance(given, dict) else ()
        found = {name: [number(each) for each in pair] for name, pair in pairs if isinstance(pair, list)}
        return {
            name: (pair[0], pair[1])
            for name, pair in found.items()
            if len(pair) == 2 and pair[0] is not None and pair[1] is not None
        }

    @property
    def dependent_examples(self) -> int:
        """How many successive test examples share a part of the data; 1 where they are independent."""
        given = self.results.get("dependent_examples")
        return given if isinstance(given, int) and given > 0 else 1

    @cached_property
    def seconds(self) -> float | None:
        """How long it has trained, or runs since its process has begun."""
        if self.status == RUNNING:
            began = self._modified(".lock")
            return max(time.time() - began, 0.0) if began else None
        return number(self.results.get("train_seconds"))

    @cached_property
    def when(self) -> float | None:
        """When it has last written, in seconds since 1970."""
        times = [self._modified(name) for name in ("results.json", "metrics.csv", "config.yaml", "checkpoints")]
        written = [each for each in times if each is not None]
        return written[0] if written else self._modified(".lock")

    def _modified(self, name: str) -> float | None:
        try:
            return self.entries[name].stat().st_mtime if name in self.entries else None
        except OSError:
            return None

    @cached_property
    def rows(self) -> list[list[str]]:
        """The rows of its metrics.csv, the header first; none where it cannot be read."""
        if "metrics.csv" not in self.entries:
            return []
        try:
            with regular(self.folder / "metrics.csv").open(newline="", encoding="utf-8", errors="replace") as file:
                return list(csv.reader(line.replace("\0", "") for line in file))
        except (OSError, UserError, csv.Error) as error:
            self.notes.append(f"metrics.csv: {getattr(error, 'strerror', None) or error}")
            return []

    def curve(self, metric: str) -> list[tuple[int, float]]:
        """The steps and the finite values of a metric over the training; a row that is half written is left out."""
        if metric not in self.metrics or "step" not in self.metrics:
            return []
        header, *rows = self.rows
        step, column = header.index("step"), header.index(metric)
        points = [(row[step], number(row[column])) for row in rows if len(row) == len(header) and row[column]]
        return [(int(step), value) for step, value in points if step.isdecimal() and value is not None]

    @property
    def metrics(self) -> list[str]:
        """The names of what its metrics.csv has."""
        return self.rows[0] if self.rows else []


def number(value: Any) -> float | None:
    """A finite number, of a text too; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def numbers(values: Any) -> dict[str, float]:
    """Those of a mapping's values that are finite numbers."""
    pairs = values.items() if isinstance(values, dict) else ()
    return {str(name): found for name, value in pairs if (found := number(value)) is not None}
