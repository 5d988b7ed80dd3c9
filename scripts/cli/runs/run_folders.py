"""Where the runs are: under a folder, those of sweeps and cross-validations among them, or as a word names them."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from datamodules.files.paths import printable, relative, user_path
from scripts.cli.errors import UsageError, did_you_mean
from scripts.cli.runs.recorded_run import RecordedRun

WRITTEN = {"config.yaml", "results.json", "metrics.csv", "checkpoints"}  # each makes a folder a run's
SWEEP, CROSS_VALIDATION = "sweep", "cross-validation"
PLANS = {"sweep.yaml": SWEEP, "folds.yaml": CROSS_VALIDATION}
OF_PLAN = re.compile(r"(sweep|folds)_\d+")  # the name of a folder that has a plan, or is about to
OF_RUN = re.compile(r"version_\d+")
DEEPEST = 8  # folders below that of all runs; a sweep's runs are five below


def find_runs(logs: Path) -> list[RecordedRun]:
    """Every run under a folder, or the run that it is itself.

    Folders elsewhere behind links are looked into, once each; hidden ones are not.
    """
    above = [*logs.absolute().parents][:3]  # of a trial, or its run
    plan = next((what for file, what in PLANS.items() if any((folder / file).exists() for folder in above)), "")
    return [*_find(logs, logs, plan, False, DEEPEST, set())]


def _find(folder: Path, logs: Path, plan: str, is_linked: bool, deepest: int, seen: set[Path]) -> Iterator[RecordedRun]:
    try:
        entries = {entry.name: entry for entry in os.scandir(folder)}
    except OSError as error:
        yield RecordedRun(folder, logs, {}, plan, is_linked, f"cannot be read ({error.strerror})")
        return
    found = next((what for file, what in PLANS.items() if file in entries), "")
    is_plan = bool(found) or OF_PLAN.fullmatch(folder.name) is not None
    if not is_plan and (WRITTEN & entries.keys() or OF_RUN.fullmatch(folder.name)):
        yield RecordedRun(folder, logs, entries, plan, is_linked)
        return
    if deepest == 0:
        return
    for name in sorted(entries):
        entry = entries[name]
        try:
            if name.startswith(".") or not entry.is_dir():
                continue
            if entry.is_symlink():  # it may lead back to where it is, or two to one folder
                target, home = Path(entry.path).resolve(), logs.resolve()
                if target in seen or target == home or target in home.parents or home in target.parents:
                    continue
                seen.add(target)
        except OSError:
            continue
        yield from _find(folder / name, logs, found or plan, is_linked or entry.is_symlink(), deepest - 1, seen)


def named_runs(words: list[str], logs: Path) -> list[RecordedRun]:
    """The runs that words name: each a folder, from here or under that of all runs, or a checkpoint.

    Raises:
        UsageError: one names none, or several.
    """
    return [_named(word, logs) for word in words]


def _named(word: str, logs: Path) -> RecordedRun:
    here = user_path(word, "RUN")
    for path in (here, logs / word):
        folder = path.parent if path.is_file() else path
        folder = folder.parent if folder.name == "checkpoints" else folder
        if not folder.is_dir():
            continue
        folder = folder.absolute()
        found = find_runs(folder)
        if not found:
            raise UsageError(f"{word}: there is no run in it")
        if len(found) > 1:
            examples = " or ".join(printable(relative(run.folder)) for run in found[:2])
            raise UsageError(f"{word}: holds {len(found)} runs; name one of them, such as {examples}")
        found[0].logs = logs  # under which it has its name
        return found[0]
    known = [run.name for run in find_runs(logs)]
    raise UsageError(f"{word}: there is no such run, neither here nor in {logs}{did_you_mean(word, known)}")
