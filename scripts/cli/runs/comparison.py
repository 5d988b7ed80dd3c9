"""What differs between runs: their settings, code, data and scores."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from scripts.cli.errors import UsageError
from scripts.cli.runs.curves import Curve, curves_of
from scripts.cli.runs.formats import moment, score, setting
from scripts.cli.runs.recorded_run import RecordedRun
from scripts.cli.runs.same_data import data_class, split_settings
from scripts.cli.runs.significance import Difference, difference, holm, interval_of_mean
from scripts.cli.runs.tested_examples import TestedExamples, UnpairedError, check_pairs, read_examples

MOST = 20  # runs that one page compares
ERRORS = {"mae", "mse"}  # of which less is better, whatever the model's metrics are

Rows = dict[str, list[str]]  # a value of each run, by what it is


class Score(NamedTuple):
    """A test score of a run.

    Args:
        value: None where the run has none.
        interval: 95 %; None where it is not known.
    """

    value: float | None
    interval: tuple[float, float] | None


class Tests(NamedTuple):
    """The comparison of a run with the first one.

    Args:
        differences: of each score; none where the test is refused.
        refusal: why, or empty.
    """

    differences: list[Difference]
    refusal: str


class Comparison:
    """Several runs beside each other, the first being what the others are compared with.

    Args:
        runs: two or more.

    Raises:
        UsageError: they are fewer, or too many for a page.
    """

    def __init__(self, runs: Sequence[RecordedRun]) -> None:
        if not 2 <= len(runs) <= MOST:
            raise UsageError(f"compare: expected from 2 to {MOST} runs, got {len(runs)}; list --sort compares many")
        self.runs = runs
        self.labels = [chr(ord("A") + index) for index in range(len(runs))]
        self._examples: list[TestedExamples | str] = [_examples_or_reason(run) for run in runs]

    @cached_property
    def facts(self) -> Rows:
        """What each run is, and how it ended."""
        rows = {
            "run": [run.name for run in self.runs],
            "model": [run.model for run in self.runs],
            "data": [run.data for run in self.runs],
            "status": [run.status for run in self.runs],
            "last written": [moment(run.when) for run in self.runs],
            "best": [f"{run.monitor} {score(run.best)}" if run.best is not None else "" for run in self.runs],
            "best epoch": [setting_or_nothing(run.results.get("best_epoch")) for run in self.runs],
            "end": [_text(run.results.get("end"), "text") for run in self.runs],
            "seconds of training": [score(run.seconds) for run in self.runs],
            "examples a second": [score(_number(run.results.get("examples_per_second"))) for run in self.runs],
        }
        return {name: values for name, values in rows.items() if any(values)}

    @cached_property
    def settings(self) -> Rows:
        """The settings that are not the same in all runs."""
        names = sorted({name for run in self.runs for name in run.all_settings if not name.startswith("about.")})
        absent = object()
        found: Rows = {}
        for name in names:
            values = [run.all_settings.get(name, absent) for run in self.runs]
            if any(value != values[0] for value in values):
                found[name] = ["–" if value is absent else setting(value) for value in values]
        return found

    @cached_property
    def code(self) -> Rows:
        """The commits, and the versions and machines that are not the same in all runs."""
        commits = [_commit(run.results.get("commit")) for run in self.runs]
        return {"commit": commits} | self._differing("versions") | self._differing("machine")

    @cached_property
    def data(self) -> Rows:
        """What the runs read and how they split it, and the parts of its fingerprint that are not the same."""
        rows = {"data": [run.data for run in self.runs], "class": [data_class(run) for run in self.runs]}
        splits = [split_settings(run) for run in self.runs]
        rows |= {name: [setting(split[name]) for split in splits] for name in splits[0]}
        rows["test examples"] = [
            "not known" if isinstance(examples, str) else f"{len(examples.keys):,}" for examples in self._examples
        ]
        rows["partial"] = [_text(run.results.get("partial"), "test") or "no" for run in self.runs]
        return rows | self._differing("fingerprint")

    def _differing(self, name: str) -> Rows:
        """The entries of a section of the results that are not the same in all runs."""
        sections = [run.results.get(name) for run in self.runs]
        found = [section if isinstance(section, dict) else {} for section in sections]
        keys = dict.fromkeys(key for section in found for key in section)
        rows = {key: [setting_or_nothing(section.get(key)) for section in found] for key in keys}
        return {f"{name}: {key}": values for key, values in rows.items() if len({*values}) > 1}

    @cached_property
    def scores(self) -> dict[str, list[Score]]:
        """The test scores of each run, the loss last."""
        names = dict.fromkeys(name for run in self.runs for name in run.test)
        return {
            name: [self._score(index, name) for index in range(len(self.runs))]
            for name in sorted(names, key=lambda name: name == "loss")
        }

    def _score(self, index: int, name: str) -> Score:
        run, examples = self.runs[index], self._examples[index]
        interval = run.intervals.get(name)
        value = run.test.get(name)
        if interval is None and not isinstance(examples, str) and name in examples.scores and value is not None:
            values = examples.scores[name]
            if np.isclose(np.nanmean(values), value, rtol=1e-3, atol=1e-6):  # else it is no mean of the examples'
                interval = interval_of_mean(values)
        return Score(value, interval)

    @cached_property
    def tests(self) -> list[Tests]:
        """The comparison of each other run with the first, p corrected for their number by Holm's method."""
        found = [self._tested(index) for index in range(1, len(self.runs))]
        for name in dict.fromkeys(each.score for tests in found for each in tests.differences):
            places = [
                (tests.differences, place)
                for tests in found
                for place, each in enumerate(tests.differences)
                if each.score == name
            ]
            corrected = holm([differences[place].p for differences, place in places])
            for (differences, place), p in zip(places, corrected, strict=True):
                differences[place] = differences[place]._replace(p=p)
        return found

    def _tested(self, index: int) -> Tests:
        first, other = self._examples[0], self._examples[index]
        for examples in (first, other):
            if isinstance(examples, str):
                return Tests([], examples)
        assert not isinstance(first, str)
        assert not isinstance(other, str)
        try:
            check_pairs(self.runs[0], first, self.runs[index], other)
        except UnpairedError as error:
            return Tests([], str(error))
        shared = [name for name in first.scores if name in other.scores]
        dependent = max(self.runs[0].dependent_examples, self.runs[index].dependent_examples)
        found = (difference(name, first.scores[name], other.scores[name], dependent) for name in shared)
        differences = [each for each in found if each is not None]
        return Tests(differences, "" if differences else "they have no score of each example in common")

    @cached_property
    def curves(self) -> dict[str, list[Curve]]:
        """The curves of each metric."""
        return curves_of(self.runs)

    def better(self, tested: Difference) -> str:
        """Whether the other run is better, worse or the same by a score, as far as chance allows."""
        if tested.p >= 0.05 or tested.first == tested.second:
            return "no difference beyond chance"
        lower = tested.score in ERRORS or self.runs[0].mode(tested.score) == "min"
        return "better" if (tested.second < tested.first) == lower else "worse"

    @property
    def is_one_run(self) -> bool:
        """Whether any run is compared with itself."""
        return len({run.folder.resolve() for run in self.runs}) < len(self.runs)


def _examples_or_reason(run: RecordedRun) -> TestedExamples | str:
    try:
        return read_examples(run)
    except UnpairedError as error:
        return str(error)


def _commit(commit: Any) -> str:
    if not isinstance(commit, dict) or not commit.get("id"):
        return "not known"
    return f"{str(commit['id'])[:10]}{'' if commit.get('clean') else ', with changes'}"


def _text(section: Any, key: str) -> str:
    return str(section.get(key) or "") if isinstance(section, dict) else ""


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def setting_or_nothing(value: Any) -> str:
    """A value as it is typed; empty where there is none."""
    return "" if value is None else setting(value)
