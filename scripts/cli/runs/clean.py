"""The command that says what can go of the runs, and deletes it where it is told to."""

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from datamodules.files.paths import printable
from datamodules.storage.cache_files import MAX_BYTES, cache_folder
from scripts.cli.runs.cleaning import Kept, Rules, Waste, waste_of
from scripts.cli.runs.formats import memory, moment
from scripts.cli.runs.own_files import size_of, top_of
from scripts.cli.runs.recorded_run import STOPPED, RecordedRun
from scripts.cli.runs.removal import HeldError, delete_checkpoints, delete_run, plan_is_held, unfinished
from scripts.cli.text_table import aligned

MAX_NAMES = 5  # of runs that stay for one reason


def clean(
    logs: Path, runs: Sequence[RecordedRun], is_meant: Callable[[RecordedRun], bool], rules: Rules, is_sure: bool
) -> None:
    """Print what can go of the runs, and delete it if that is sure.

    Args:
        logs: the folder of all runs.
        runs: all of them.
        is_meant: whether a run is one that may go.
        rules: that say what goes.
        is_sure: whether to delete it.

    Raises:
        SystemExit: with status 1, where something could not be deleted.
    """
    wastes, kept = waste_of(runs, is_meant, rules)
    left = [*unfinished(logs)]
    resumable = sum(run.status == STOPPED for run in runs if is_meant(run))
    print(listing(wastes, left))
    for line in (*_stay(kept), *_of_stopped(resumable, rules), *_of_data()):
        print(printable(line))
    total = sum(waste.size for waste in wastes) + size_of(left)
    if not wastes and not left:
        print("nothing to delete")
    elif not is_sure:
        print(f"\nfrees {memory(total)}; nothing is deleted yet, --yes deletes it")
    elif failed := [*_delete(wastes, left)]:
        for line in failed:
            print(f"error: {printable(line)}", file=sys.stderr)
        sys.exit(1)
    else:
        print(f"\ndeleted, {memory(total)} are free")


def listing(wastes: Sequence[Waste], left: Sequence[Path]) -> str:
    """What can go, a line each."""
    rows = [["run", "size", "last written", "why it can go"]]
    rows += [[waste.run.name, memory(waste.size), moment(waste.run.when), waste.why] for waste in wastes]
    rows += [[path.name, memory(size_of([path])), "", "is left of a deletion"] for path in left]
    return aligned([[printable(cell) for cell in row] for row in rows], left=[0, 2, 3]) if len(rows) > 1 else ""


def _stay(kept: Sequence[Kept]) -> Iterator[str]:
    """A line for each reason why runs stay."""
    names: dict[str, list[str]] = {}
    for each in kept:
        names.setdefault(each.why, []).append(each.run.name)
    for why, those in names.items():
        more = f" and {len(those) - MAX_NAMES} more" if len(those) > MAX_NAMES else ""
        yield f"stays: {', '.join(those[:MAX_NAMES])}{more}: {why}"


def _of_stopped(count: int, rules: Rules) -> list[str]:
    if not count or rules.stopped:
        return []
    runs = "run that was stopped and can be resumed" if count == 1 else "runs that were stopped and can be resumed"
    return [f"stays: {count} {runs} (--stopped)"]


def _of_data() -> list[str]:
    """A line about what was read from data, which is no run's."""
    folder = cache_folder()
    size = size_of([folder]) if folder.is_dir() else 0
    if not size:
        return []
    pruned = f"beyond {memory(MAX_BYTES)} the least recently used goes by itself"
    return [f"stays: {memory(size)} in {folder}, read from data and kept for later runs ({pruned})"]


def _delete(wastes: Sequence[Waste], left: Sequence[Path]) -> list[str]:
    """Delete what can go; the lines about what could not be deleted."""
    failed = []
    for waste in wastes:
        try:
            if plan_is_held(waste.run):
                raise HeldError(f"its {waste.run.plan} is being carried out")
            if waste.files:
                delete_checkpoints(waste.run, waste.files)
            else:
                delete_run(waste.run, top_of(waste.run))
        except (OSError, HeldError) as error:
            failed.append(f"{waste.run.name}: not deleted ({getattr(error, 'strerror', None) or error})")
    for path in left:
        try:
            shutil.rmtree(path)
        except OSError as error:
            failed.append(f"{path}: not deleted ({error.strerror})")
    return failed
