"""What can go of the runs, and why the rest stays."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from datamodules.errors import UserError
from scripts.cli.runs.own_files import BEST, foreign, size_of, top_of
from scripts.cli.runs.recorded_run import FAILED, FINISHED, PARTIAL, RUNNING, STOPPED, RecordedRun
from scripts.cli.runs.removal import plan_is_held
from scripts.cli.runs.run_folders import CROSS_VALIDATION

DAY = 86400  # seconds
JUST_BEGUN = 60  # seconds in which a run may have made its folder, and not its lock


class Rules(NamedTuple):
    """What is to go, besides the runs that failed before their first checkpoint.

    Args:
        older: days since a run has last written, for it to go; None for any.
        keep: number of the best finished runs of each model and data set that stay; None for all.
        stopped: whether those that could be resumed go.
        checkpoints: whether all checkpoints but the best go, of finished runs that stay.
    """

    older: int | None = None
    keep: int | None = None
    stopped: bool = False
    checkpoints: bool = False


class Waste(NamedTuple):
    """What can go of a run.

    Args:
        run: the run.
        files: checkpoints; empty where the complete run goes.
        size: in bytes, of what is free then.
        why: it can go.
    """

    run: RecordedRun
    files: list[Path]
    size: int
    why: str


class Kept(NamedTuple):
    """A run that stays although the rules have it go.

    Args:
        run: the run.
        why: it stays.
    """

    run: RecordedRun
    why: str


def waste_of(
    runs: Sequence[RecordedRun], is_meant: Callable[[RecordedRun], bool], rules: Rules
) -> tuple[list[Waste], list[Kept]]:
    """What can go of the runs, and what stays although the rules have it go.

    Args:
        runs: all under the folder of runs, among which those are that others start from.
        is_meant: whether a run is one that may go.
        rules: that say what goes.
    """
    meant = [run for run in runs if is_meant(run)]
    among_best = best_of_each(meant, rules.keep) if rules.keep is not None else set()
    started_from = pretrained_of(runs)
    wastes: list[Waste] = []
    kept: list[Kept] = []
    for run in meant:
        try:
            why = reason(run, rules, among_best)
            files = [] if why or not rules.checkpoints or run.status != FINISHED else further_checkpoints(run)
            if not why and not files:
                continue
            obstacle = obstacle_of(run, files, started_from)
            if obstacle:
                kept.append(Kept(run, obstacle))
            else:
                size = size_of(files or [top_of(run)])
                wastes.append(Waste(run, files, size, why or f"{len(files)} checkpoints besides the best"))
        except (OSError, UserError) as error:
            kept.append(Kept(run, f"cannot be read ({getattr(error, 'strerror', None) or error})"))
    return wastes, kept


def reason(run: RecordedRun, rules: Rules, among_best: set[Path]) -> str:
    """Why a run goes by the rules; empty where it does not."""
    age = (time.time() - run.when) / DAY if run.when is not None else 0.0
    if rules.older is not None and age < rules.older:
        return ""
    aged = f", {age:.0f} days ago" if rules.older is not None else ""
    if run.status == FAILED:
        return f"failed before its first checkpoint{aged}"
    if run.status == STOPPED and rules.stopped:
        return f"was stopped{aged}"
    if run.status in (FINISHED, PARTIAL) and (rules.older is not None or rules.keep is not None):
        if run.folder in among_best:
            return ""
        worse = f", not among the best {rules.keep}" if rules.keep is not None else ""
        return f"{run.status}{worse}{aged}"
    return ""


def best_of_each(runs: Sequence[RecordedRun], count: int) -> set[Path]:
    """The folders of the best finished runs of each model, data set and monitored metric; ties stay, too."""
    groups: dict[tuple[str, str, str], list[tuple[float, RecordedRun]]] = {}
    for run in runs:
        if run.status == FINISHED and run.plan != CROSS_VALIDATION and run.best is not None:
            sign = 1 if run.mode(run.monitor) == "min" else -1
            groups.setdefault((run.model, run.data, run.monitor), []).append((sign * run.best, run))
    best: set[Path] = set()
    for group in groups.values():
        limit = sorted(value for value, _ in group)[min(count, len(group)) - 1]
        best |= {run.folder for value, run in group if value <= limit}
    return best


def further_checkpoints(run: RecordedRun) -> list[Path]:
    """The checkpoints of a run besides the best; none where it has no best."""
    best = run.folder / "checkpoints" / BEST
    return [file for file in run.checkpoints if file != best] if best in run.checkpoints else []


def pretrained_of(runs: Sequence[RecordedRun]) -> dict[Path, RecordedRun]:
    """What runs have started from, each with a run that has."""
    found = {}
    for run in runs:
        source = run.all_settings.get("model.pretrained")
        if isinstance(source, str) and source and "\0" not in source:
            found[Path(source).expanduser().absolute()] = run
            found[Path(source).expanduser().resolve()] = run
    return found


def obstacle_of(run: RecordedRun, files: Sequence[Path], started_from: dict[Path, RecordedRun]) -> str:
    """Why a run stays, or its checkpoints, though the rules have them go; empty where nothing is in the way.

    Args:
        run: the run.
        files: of which only these are to go; none for all of it.
        started_from: of `pretrained_of`.

    Raises:
        OSError: its folder cannot be read.
    """
    if run.is_linked:
        return "behind a link, out of the folder of runs"
    if run.status == RUNNING or run.is_running():
        return "a process writes there"
    if plan_is_held(run):
        return f"its {run.plan} is being carried out"
    if run.plan == CROSS_VALIDATION and not files:
        return "part of a cross-validation, which needs all its folds"
    if time.time() - run.folder.stat().st_mtime < JUST_BEGUN and run.status == FAILED:
        return "its folder is not a minute old; it may have just begun"
    for path, other in started_from.items():
        of_run = path in files or (not files and (path == run.folder.resolve() or run.folder.resolve() in path.parents))
        if of_run and other is not run:
            return f"{other.name} started from it"
    in_the_way = {"checkpoints", *(f"checkpoints/{file.name}" for file in files)}  # the first of which would be a link
    if found := [each for each in foreign(run) if not files or each in in_the_way]:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        return f"holds {found[0]}{more}, which no run writes"
    return ""
