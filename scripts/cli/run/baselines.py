"""What a run says of its baselines: a column each, what they were fitted to, and whether the model beats them."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer

from callbacks.run.baselines import Facts, FitBaselines
from lightning_modules.tasks.task import Task

TRIVIAL = "trivial"  # the answer that needs no input, or next to none
WIDTH = 10  # of a column, where there is room
MAX_WIDTH = 80  # of a terminal

Columns = dict[str, dict[str, float]]  # each baseline's metrics, by its name


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


def table(test: dict[str, float], baseline: dict[str, float]) -> str:
    """A line for each metric; a column for the model and for each baseline."""
    columns = {"test": test} | columns_of(test, baseline)
    metrics = list(dict.fromkeys(metric for values in columns.values() for metric in values))
    rows = [[number(values.get(metric)) for values in columns.values()] for metric in metrics]
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    names, gap = ["", *metrics], "  "
    width = max(map(len, names))
    if width + sum(len(gap) + max(WIDTH, size) for size in widths) <= MAX_WIDTH:
        widths = [max(WIDTH, size) for size in widths]
    lines = [
        gap.join([f"{name:{width}}", *(f"{cell:>{size}}" for cell, size in zip(row, widths, strict=True))])
        for name, row in zip(names, [list(columns), *rows], strict=True)
    ]
    return "\n".join(line.rstrip() for line in lines)


def number(value: float | None) -> str:
    """A number of four digits; empty where there is none."""
    return "" if value is None else f"{value:.4g}"


def facts_of(trainer: Trainer) -> Facts:
    """Of each baseline that learns from the training split, what it was fitted to, or why it is left out."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return next((callback.facts for callback in callbacks if isinstance(callback, FitBaselines)), {})


def remarks(facts: Facts) -> list[str]:
    """Lines below the table: to how many examples the baselines were fitted, and which are left out."""
    groups: dict[str, list[str]] = {}
    for name, fact in facts.items():
        if "left_out" in fact:
            text = f"left out: {fact['left_out']}"
        elif fact["examples"] < fact["of"]:
            text = f"fitted on {fact['examples']:,} of {fact['of']:,} training examples"
        else:
            text = f"fitted on the {fact['of']:,} training examples"
        groups.setdefault(text + (f" ({fact['remark']})" if "remark" in fact else ""), []).append(name)
    return [
        f"baselines {', '.join(names)}: {text}" if len(names) > 1 else f"baseline {names[0]}: {text}"
        for text, names in groups.items()
    ]


def verdict(test: dict[str, float], baseline: dict[str, float], model: LightningModule, monitor: str) -> str:
    """A line that says which baseline the model does not beat; empty where it beats all.

    Args:
        test: the model's metrics.
        baseline: those of all baselines.
        model: says whether a metric is better low or high.
        monitor: the metric that is compared if the baselines have it, such as val/accuracy; else the first they have.
    """
    columns = columns_of(test, baseline)
    shared = [metric for metric in test if any(metric in values for values in columns.values())]
    if not shared or not isinstance(model, Task):
        return ""
    metric = monitor.split("/")[-1]
    metric = metric if metric in shared else shared[0]
    sign = -1 if model.mode_of(metric) == "min" else 1
    scores = {name: values[metric] for name, values in columns.items() if metric in values}
    name = max(scores, key=lambda each: sign * scores[each])
    if sign * test[metric] > sign * scores[name]:
        return ""
    return f"the model is not better than {name}: {metric} {test[metric]:.4g}, {name} {scores[name]:.4g}"


def lines_of(test: dict[str, float], baseline: dict[str, float], facts: Facts, model: Any, monitor: str) -> list[str]:
    """All that is said below the table."""
    line = verdict(test, baseline, model, monitor)
    return [*remarks(facts), *([line] if line else [])]
