"""The examples that a run was tested on, each with its scores, as test_predictions.csv has them."""

import csv
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datamodules.files.paths import regular
from scripts.cli.runs.recorded_run import RecordedRun
from scripts.cli.runs.same_data import OF_TEST_SPLIT, data_class, split_settings
from scripts.cli.runs.significance import Array

FILE = "test_predictions.csv"
KEYS = ("index", "name", "target")
NO_SCORES = (*KEYS, "input", "prediction", "probability")
# What the mean of an example's score is called among the metrics.
METRICS = {"correct": "accuracy", "absolute_error": "mae", "squared_error": "mse"}
SIGNED = "error"  # whose mean says nothing of its size


class UnpairedError(ValueError):
    """The test examples of two runs cannot be paired; the message is the reason."""


class TestedExamples(NamedTuple):
    """The test examples of a run in the order of the test split.

    Args:
        keys: of each example: its index in the test split, its name and its target.
        inputs: of each example, as far as one is shown as a text; none where the file has none.
        scores: of each example, by the names of the metrics that are their means; NaN where there is none.
    """

    keys: list[tuple[int, str, str]]
    inputs: list[str]
    scores: dict[str, Array]


def read_examples(run: RecordedRun) -> TestedExamples:
    """The examples that a run was tested on.

    Raises:
        UnpairedError: it has none, or they are not readable.
    """
    if FILE not in run.entries:
        raise UnpairedError(f"{run.name} has no {FILE}: it was not tested, or by an earlier version")
    path = run.folder / FILE
    try:
        columns = _columns(path)
        examples = list(zip(map(int, columns["index"]), columns["name"], columns["target"], strict=True))
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise UnpairedError(f"{run.name}: {FILE}: not as a run writes it ({type(error).__name__}: {error})") from None
    order = sorted(range(len(examples)), key=lambda row: examples[row][0])
    keys = [examples[row] for row in order]
    if len({key[0] for key in keys}) < len(keys):
        raise UnpairedError(f"{run.name}: {FILE}: has two rows of one index")
    if not keys:
        raise UnpairedError(f"{run.name}: {FILE}: has no rows")
    inputs = [columns["input"][row] for row in order] if "input" in columns else []
    scores: dict[str, Array] = {}
    for name, texts in columns.items():
        if name in NO_SCORES or (values := _numbers(texts)) is None:
            continue
        values = values[order]
        if name == SIGNED:
            scores |= {"mae": np.abs(values), "mse": values**2}
        else:
            scores[METRICS.get(name, name)] = values
    return TestedExamples(keys, inputs, scores)


def _columns(path: Path) -> dict[str, list[str]]:
    """The columns of a CSV file, which a spreadsheet may have begun with a byte order mark."""
    csv.field_size_limit(sys.maxsize)  # a context may be long
    with regular(path).open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        rows = list(reader)
    if any(len(row) != len(header) for row in rows):
        raise ValueError("a row has not as many cells as the header, as if it was not written to its end")
    return dict(zip(header, map(list, zip(*rows, strict=True)), strict=True)) if rows else {name: [] for name in header}


def _numbers(texts: list[str]) -> Array | None:
    """Numbers in texts, NaN where one is empty; None if any is something else."""
    try:
        return np.array([float(text) if text else np.nan for text in texts])
    except ValueError:
        return None


def check_pairs(first: RecordedRun, examples: TestedExamples, second: RecordedRun, others: TestedExamples) -> None:
    """Refuse to pair examples that are not the same.

    Examples are told apart by their index in the test split, their name and their target. These may be the same in
    other data: unless their inputs are, too, the runs must have read one data set, and split it alike where the names
    do not tell its examples apart.

    Raises:
        UnpairedError: with the reason.
    """
    if examples.keys != others.keys:
        same = len({*examples.keys} & {*others.keys})
        raise UnpairedError(
            f"they were tested on other examples: {len(examples.keys):,} and {len(others.keys):,}, of which {same:,} "
            f"are the same{_why(first, second)}"
        )
    if examples.inputs == others.inputs and all(examples.inputs) and examples.inputs:
        return
    named = len({name for _, name, _ in examples.keys if name}) == len(examples.keys)
    if why := _why(first, second, with_split=not named):
        raise UnpairedError(f"their test examples may be others{why}, though names and targets are the same")


def _why(first: RecordedRun, second: RecordedRun, with_split: bool = True) -> str:
    """The settings because of which the examples of two runs may be others, in words; empty where there are none."""
    one, other = (
        {"data": run.data, "class": data_class(run)}
        | (split_settings(run, OF_TEST_SPLIT) | {"partial test": _partial(run)} if with_split else {})
        for run in (first, second)
    )
    found = [f"{name} {one[name]} and {other[name]}" for name in one if one[name] != other[name]]
    return f" ({', '.join(found)})" if found else ""


def _partial(run: RecordedRun) -> str:
    partial = run.results.get("partial")
    return str(partial.get("test", "no")) if isinstance(partial, dict) else "no"
