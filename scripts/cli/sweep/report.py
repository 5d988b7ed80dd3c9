"""What came of a sweep: its trials as a table and as a plot."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from lightning_modules.tasks.pictures.figure import limit_ticks
from scripts.cli.plots import save_png
from scripts.cli.spreadsheet import write_csv
from scripts.cli.sweep.plan import SweepPlan
from scripts.cli.sweep.trials import CAUSE, ranked
from scripts.cli.text_table import aligned

if TYPE_CHECKING:
    from optuna import Study

MAX_ROWS = 10  # trials in the table on the screen


def rows(study: "Study", plan: SweepPlan) -> list[dict[str, Any]]:
    """Each trial's settings and result, the best trial first."""
    return [
        {
            "trial": trial.number,
            plan.monitor: trial.value if trial.state.name == "COMPLETE" else "",
            **{each.option: trial.params.get(each.option, "") for each in plan.dimensions},
            "validations": len(trial.intermediate_values),
            "seconds": round(trial.duration.total_seconds(), 1) if trial.duration else "",
            "end": {"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, trial.user_attrs.get(CAUSE, "")),
        }
        for trial in ranked(study)
    ]


def write_table(study: "Study", plan: SweepPlan, folder: Path) -> None:
    """Write trials.csv, the best trial first."""
    if found := rows(study, plan):
        write_csv(folder / "trials.csv", found)


def table(study: "Study", plan: SweepPlan) -> str:
    """The best trials, a line each."""
    found = rows(study, plan)
    cells = [[f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()] for row in found[:MAX_ROWS]]
    text = aligned([list(found[0]), *cells])
    return text + (f"\n… and {len(found) - MAX_ROWS} more" if len(found) > MAX_ROWS else "")


def plot(study: "Study", plan: SweepPlan) -> Figure:
    """The trials' values in order with the best so far, and the value over each option."""
    trials = [trial for trial in ranked(study) if trial.state.name == "COMPLETE"]
    in_order = sorted(trials, key=lambda trial: trial.number)
    better = min if plan.mode == "min" else max
    values = [float(trial.values[0]) for trial in in_order]
    figure = Figure(figsize=(8, 2.4 * (1 + len(plan.dimensions))), layout="constrained", dpi=120)
    first, *further = figure.subplots(1 + len(plan.dimensions), squeeze=False)[:, 0]
    indices = [trial.number for trial in in_order]
    first.plot(indices, values, "o", color="tab:blue", label="trial")
    best = [better(values[: end + 1]) for end in range(len(values))]
    first.step(indices, best, where="post", color="black", label="best")
    first.set(xlabel="trial", ylabel=plan.monitor)
    limit_ticks(first.xaxis, integer=True)
    first.legend(fontsize="small")
    for axes, each in zip(further, plan.dimensions, strict=True):
        if each.distribution == "choice":
            axes.xaxis.update_units(each.values)  # all of them, in their order
        axes.plot([trial.params[each.option] for trial in in_order], values, "o", color="tab:blue")
        axes.plot([trials[0].params[each.option]], [trials[0].values[0]], "o", color="tab:red")
        axes.set(xlabel=each.option, ylabel=plan.monitor)
        if each.distribution == "log":
            axes.set_xscale("log")
        elif each.distribution == "int":
            limit_ticks(axes.xaxis, integer=True)
    return figure


def draw(study: "Study", plan: SweepPlan, folder: Path) -> None:
    """Draw trials.png."""
    save_png(plot(study, plan), folder / "trials.png")
