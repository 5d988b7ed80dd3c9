"""What came of a sweep: its trials in order, as a table and as a picture."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from datamodules.storage.atomic_file import whole_file
from scripts.cli.run.folder import write_whole
from scripts.cli.spreadsheet import Sheet
from scripts.cli.sweep.plan import Plan

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

SHOWN = 10  # trials in the table
INTERRUPTED = "interrupted"  # noted of a failed trial that is to be tried again
CAUSE = "cause"  # noted of any other: why it failed


def ended(study: "Study") -> list["FrozenTrial"]:
    """The trials that have ended, however, and are not tried again."""
    from optuna.trial import TrialState

    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    return [
        each for each in study.get_trials(states=states) if each.state != TrialState.FAIL or CAUSE in each.user_attrs
    ]


def ranked(study: "Study") -> list["FrozenTrial"]:
    """The trials that have ended: those that came to their end, the best first, and then the others."""
    sign = 1 if study.direction.name == "MINIMIZE" else -1

    def key(trial: "FrozenTrial") -> tuple[bool, float, int]:
        complete = trial.state.name == "COMPLETE"
        return not complete, sign * trial.values[0] if complete and trial.values else 0.0, trial.number

    return sorted(ended(study), key=key)


def rows(study: "Study", plan: Plan) -> list[dict[str, Any]]:
    """What came of each trial."""
    return [
        {
            "trial": trial.number,
            plan.monitor: trial.value if trial.state.name == "COMPLETE" else "",
            **{each.option: trial.params.get(each.option, "") for each in plan.dimensions},
            "validations": len(trial.intermediate_values),
            "seconds": round(trial.duration.total_seconds(), 1) if trial.duration else "",
            "end": {"COMPLETE": "complete", "PRUNED": "stopped early"}.get(
                trial.state.name, trial.user_attrs.get(CAUSE, "")
            ),
        }
        for trial in ranked(study)
    ]


def write_table(study: "Study", plan: Plan, folder: Path) -> None:
    """Write trials.csv, the best trial first."""
    found = rows(study, plan)
    if found:
        text = io.StringIO()
        sheet = Sheet(text, list(found[0]))
        for row in found:
            sheet.write(row)
        write_whole(folder / "trials.csv", text.getvalue())


def table(study: "Study", plan: Plan) -> str:
    """The best trials, a line each."""
    found = rows(study, plan)
    lines = [list(found[0]), *([_short(value) for value in row.values()] for row in found[:SHOWN])]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join([*text, *([f"… and {len(found) - SHOWN} more"] if len(found) > SHOWN else [])])


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def picture(study: "Study", plan: Plan) -> Figure:
    """How the best value came about, and the value over each option."""
    trials = [trial for trial in ranked(study) if trial.state.name == "COMPLETE"]
    in_order = sorted(trials, key=lambda trial: trial.number)
    better = min if plan.mode == "min" else max
    values = [float(trial.values[0]) for trial in in_order]
    figure = Figure(figsize=(8, 2.4 * (1 + len(plan.dimensions))), layout="constrained")
    first, *further = figure.subplots(1 + len(plan.dimensions), squeeze=False)[:, 0]
    numbers = [trial.number for trial in in_order]
    first.plot(numbers, values, "o", color="tab:blue", label="trial")
    first.step(
        numbers, [better(values[: end + 1]) for end in range(len(values))], where="post", color="black", label="best"
    )
    first.set(xlabel="trial", ylabel=plan.monitor)
    first.xaxis.set_major_locator(MaxNLocator(integer=True))
    first.legend(fontsize="small")
    for axes, each in zip(further, plan.dimensions, strict=True):
        if each.kind == "choice":
            axes.xaxis.update_units(each.values)  # all of them, in their order
        axes.plot([trial.params[each.option] for trial in in_order], values, "o", color="tab:blue")
        axes.plot([trials[0].params[each.option]], [trials[0].values[0]], "o", color="tab:red")
        axes.set(xlabel=each.option, ylabel=plan.monitor)
        if each.kind == "log":
            axes.set_xscale("log")
        elif each.kind == "int":
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def draw(study: "Study", plan: Plan, folder: Path) -> None:
    """Draw trials.png."""
    with whole_file(folder / "trials.png") as file:
        picture(study, plan).savefig(file, format="png", dpi=120)
