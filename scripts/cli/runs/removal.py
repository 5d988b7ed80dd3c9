"""The deletion of a run: at once, as the name of its folder goes, and never beside a process that writes there."""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from filelock import Timeout

from datamodules.storage.atomic_file import with_retries
from datamodules.storage.locks import Lock
from scripts.cli.run.files import is_held
from scripts.cli.runs.recorded_run import RecordedRun

UNFINISHED = re.compile(r"\.deleted-.+-[0-9a-f]{12}")  # what a deletion that was killed leaves


class HeldError(Exception):
    """A process writes into the run."""


def delete_run(run: RecordedRun, top: Path) -> None:
    """Delete a run's folder.

    It is renamed first, to a hidden name: whatever ends this process, no half of a run remains under its name.

    Args:
        run: whose lock is held meanwhile.
        top: its folder, or that of its trial.

    Raises:
        HeldError: a process writes there.
        OSError: it cannot be deleted.
    """
    hidden = top.with_name(f".deleted-{top.name}-{secrets.token_hex(6)}")
    with closing(_lock(run)) as lock:
        if os.name == "nt":  # where no folder is renamed whose files are open
            lock.close()
        with_retries(lambda: top.rename(hidden))
    shutil.rmtree(hidden)


def delete_checkpoints(run: RecordedRun, files: list[Path]) -> None:
    """Delete checkpoints of a run, whose lock is held meanwhile.

    Raises:
        HeldError: a process writes there.
        OSError: one cannot be deleted.
    """
    with closing(_lock(run)):
        for file in files:
            file.unlink()


def _lock(run: RecordedRun) -> Lock:
    try:
        return Lock(run.folder / ".lock")
    except Timeout:
        raise HeldError("a process has begun to write there") from None


def plan_is_held(run: RecordedRun) -> bool:
    """Whether a process carries out the sweep or the cross-validation that a run is part of."""
    for folder in run.folder.parents[:4] if run.plan else ():
        for file in (folder / ".lock", *folder.glob(".worker_*.lock")):
            if file.exists() and is_held(file):
                return True
    return False


def unfinished(logs: Path) -> Iterator[Path]:
    """The folders that deletions have left which were killed."""
    for place, folders, _ in os.walk(logs):
        for name in [*folders]:
            if UNFINISHED.fullmatch(name) and not os.path.islink(os.path.join(place, name)):
                yield Path(place) / name
        folders[:] = [name for name in folders if not name.startswith(".") and name not in ("checkpoints", "pictures")]
