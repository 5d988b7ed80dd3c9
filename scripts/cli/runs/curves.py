"""The curves of runs: each metric over the steps, on the training and the validation split."""

from collections.abc import Sequence
from typing import NamedTuple

from scripts.cli.runs.recorded_run import RecordedRun

Points = list[tuple[float, float]]

SPLITS = ("train", "val")
MAX_POINTS = 400  # of a curve, more than a screen shows apart


class Curve(NamedTuple):
    """A metric of one run over its steps.

    Args:
        run: the index of the run.
        split: `train` or `val`.
        points: steps and values.
    """

    run: int
    split: str
    points: Points


def curves_of(runs: Sequence[RecordedRun]) -> dict[str, list[Curve]]:
    """The curves of every metric that a run has logged, by its name without the split; the monitored one first."""
    names = dict.fromkeys(run.monitor.rpartition("/")[2] for run in runs)
    for run in runs:
        names |= dict.fromkeys(name.partition("/")[2] for name in run.metrics if name.partition("/")[0] in SPLITS)
    found = {}
    for name in filter(None, names):
        curves = [
            Curve(index, split, thinned(points))
            for index, run in enumerate(runs)
            for split in SPLITS
            if (points := run.curve(f"{split}/{name}"))
        ]
        if curves:
            found[name] = curves
    return found


def thinned(points: Sequence[tuple[float, float]]) -> Points:
    """At most MAX_POINTS points, each the mean of as many that follow one another."""
    size = -(-len(points) // MAX_POINTS)
    groups = [points[begin : begin + size] for begin in range(0, len(points), size)]
    return [tuple(sum(values) / len(group) for values in zip(*group, strict=True)) for group in groups]
