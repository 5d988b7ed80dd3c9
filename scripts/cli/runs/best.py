"""The best of several runs."""

import sys
from collections.abc import Sequence

from datamodules.files.paths import printable, relative
from datamodules.files.splits import listed
from scripts.cli.errors import UsageError
from scripts.cli.runs.formats import score
from scripts.cli.runs.recorded_run import FINISHED, PARTIAL, RecordedRun
from scripts.cli.runs.run_folders import CROSS_VALIDATION
from scripts.cli.runs.same_data import split_settings
from scripts.cli.runs.selection import value_of


def show_best(runs: Sequence[RecordedRun], metric: str | None, with_partial: bool) -> None:
    """Print the folder of the best run, and to stderr by what it is the best.

    Args:
        runs: to choose from.
        metric: to choose by; by default the monitored one, on the validation split.
        with_partial: whether runs that saw a part of the data count.

    Raises:
        UsageError: none has finished, or they cannot be compared.
    """
    best, told = best_of(runs, metric, with_partial)
    print(f"note: {printable(told)}", file=sys.stderr)
    print(relative(best.folder))


def best_of(runs: Sequence[RecordedRun], metric: str | None, with_partial: bool) -> tuple[RecordedRun, str]:
    """The best run, and by what it is the best of how many.

    Raises:
        UsageError: none has finished, or they cannot be compared.
    """
    folds = [run for run in runs if run.plan == CROSS_VALIDATION]
    wanted = (FINISHED, PARTIAL) if with_partial else (FINISHED,)
    candidates = [run for run in runs if run.status in wanted and run not in folds]
    left_out = f"; folds of cross-validations, {len(folds)} here, do not count" if folds else ""
    if not candidates:
        partial = sum(run.status == PARTIAL for run in runs)
        hint = f"; {partial} with a partial test: --partial takes them too" if partial and not with_partial else ""
        raise UsageError(f"none of the {len(runs)} runs has finished{hint}{left_out}")
    check_comparable(candidates, metric)
    name = metric or candidates[0].monitor
    name = f"val/{name}" if f"val/{name}" == candidates[0].monitor else name
    scored = [(value, run) for run in candidates if isinstance(value := value_of(run, name), int | float)]
    if not scored:
        metrics = dict.fromkeys(each for run in candidates for each in (run.monitor, *run.test) if each)
        raise UsageError(f"--metric {name}: no run has it; expected {listed([*metrics])}")
    mode = candidates[0].mode(name)
    value, best = (min if mode == "min" else max)(scored, key=lambda pair: pair[0])
    ties = sum(other == value for other, _ in scored) - 1
    tied = f", as {ties} others have it" if ties > 1 else ", as another has it" if ties else ""
    of = "of the only run" if len(scored) == 1 else f"the {mode}imum of {len(scored)} runs"
    return best, f"{name} {score(value)}{tied}, {of}{left_out}"


def check_comparable(runs: Sequence[RecordedRun], metric: str | None) -> None:
    """Refuse to choose among runs of other data or by other metrics.

    Raises:
        UsageError: with what differs.
    """
    data = [*dict.fromkeys(run.data for run in runs)]
    if len(data) > 1:
        raise UsageError(f"runs on {listed(data)} cannot be compared; --data chooses")
    splits = {tuple(split_settings(run).items()): run for run in runs}
    if len(splits) > 1:
        (one, first), (other, second) = [*splits.items()][:2]
        told = ", ".join(f"{a[0]} {a[1]} and {b[1]}" for a, b in zip(one, other, strict=True) if a != b)
        raise UsageError(
            f"{first.name} and {second.name} split {data[0]} differently ({told}), so they cannot be compared; "
            f"name the runs to choose from"
        )
    monitors = [*dict.fromkeys(run.monitor for run in runs)]
    if metric is None and len(monitors) > 1:
        raise UsageError(f"the runs monitor {listed(monitors)}, which cannot be compared; --metric chooses")
