"""What a run says of its baselines: a column each, what they were fitted to, and whether the model beats them."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer

from callbacks.run.baselines import Facts, FitBaselines
from datamodules.checking.text_table import rounded, shortened
from lightning_modules.tasks.task import Task
from scripts.cli.run.baseline_columns import columns_of, strongest

WIDTH = 10  # of a column, where there is room
MAX_WIDTH = 80  # of a terminal
UNIT_WIDTH = 14


def table(test: dict[str, float], baseline: dict[str, float], units: dict[str, str]) -> str:
    """A line for each metric; a column for the model, for each baseline, and for the units of those that have one."""
    columns = {"test": test} | columns_of(test, baseline)
    metrics = list(dict.fromkeys(metric for values in columns.values() for metric in values))
    rows = [[rounded(values[metric]) if metric in values else "" for values in columns.values()] for metric in metrics]
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    names, gap = ["", *metrics], "  "
    width = max(map(len, names))
    shown_units = ["unit" if {*units} & {*metrics} else ""]
    shown_units += [shortened(units.get(metric, ""), UNIT_WIDTH) for metric in metrics]
    fixed = width + len(gap) + max(map(len, shown_units))
    if fixed + sum(len(gap) + max(WIDTH, size) for size in widths) <= MAX_WIDTH:
        widths = [max(WIDTH, size) for size in widths]
    lines = [
        gap.join([f"{name:{width}}", *(f"{cell:>{size}}" for cell, size in zip(row, widths, strict=True)), unit])
        for name, row, unit in zip(names, [list(columns), *rows], shown_units, strict=True)
    ]
    return "\n".join(line.rstrip() for line in lines)


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
    found = strongest(test, columns_of(test, baseline), monitor, model.mode_of) if isinstance(model, Task) else None
    if found is None or found.beaten:
        return ""
    name, scores = found.name, f"{rounded(found.model)}, {found.name} {rounded(found.baseline)}"
    return f"the model is not better than {name}: {found.metric} {scores}"


def lines_of(test: dict[str, float], baseline: dict[str, float], facts: Facts, model: Any, monitor: str) -> list[str]:
    """All that is said below the table."""
    line = verdict(test, baseline, model, monitor)
    return [*remarks(facts), *([line] if line else [])]
