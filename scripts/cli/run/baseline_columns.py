"""The baselines of a test by their names, and the strongest of them beside the model; without torch."""

from collections.abc import Callable
from typing import NamedTuple

TRIVIAL = "trivial"  # the answer that needs no input, or next to none

Columns = dict[str, dict[str, float]]  # each baseline's metrics, by its name


class Strongest(NamedTuple):
    """The baseline that is best in a metric, and the model's score.

    Args:
        metric: that is compared.
        name: of the baseline.
        baseline: its score.
        model: the model's.
        beaten: whether the model's is better; a tie is not.
    """

    metric: str
    name: str
    baseline: float
    model: float
    beaten: bool


def columns_of(test: dict[str, float], baseline: dict[str, float]) -> Columns:
    """The baselines' metrics, one dictionary each, from flat names such as `accuracy` and `boosting_accuracy`.

    Args:
        test: the model's metrics.
        baseline: those of all baselines.
    """
    columns: Columns = {}
    for key, value in baseline.items():
        metrics = [name for name in test if key == name or key.endswith(f"_{name}")]
        metric = key if key in metrics else max(metrics, key=len, default=key)
        name = key.removesuffix(metric).rstrip("_") or TRIVIAL
        columns.setdefault(name, {})[metric] = value
    return columns


def strongest(
    test: dict[str, float], columns: Columns, monitor: str, mode_of: Callable[[str], str]
) -> Strongest | None:
    """The baseline that is hardest to beat; None where none can be compared.

    Args:
        test: the model's metrics.
        columns: of `columns_of`.
        monitor: the metric that is compared if the baselines have it, such as val/accuracy; else the first they have.
        mode_of: whether a `min` or a `max` of a metric is best.
    """
    shared = [metric for metric in test if any(metric in values for values in columns.values())]
    if not shared:
        return None
    metric = monitor.split("/")[-1]
    metric = metric if metric in shared else shared[0]
    sign = -1 if mode_of(metric) == "min" else 1
    scores = {name: values[metric] for name, values in columns.items() if metric in values}
    name = max(scores, key=lambda each: sign * scores[each])
    return Strongest(metric, name, scores[name], test[metric], sign * test[metric] > sign * scores[name])
