"""Workers: processes that carry out one sweep together, on one machine or on many that share its folder."""

import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from filelock import Timeout

from datamodules.storage.locks import Lock, exclusive
from scripts.cli.errors import UsageError
from scripts.cli.run.files import is_held, write_whole
from scripts.cli.run.folder import claim, lock, release
from scripts.cli.sweep.plan import SweepPlan
from scripts.cli.sweep.resumable import read_plan, write_plan

PATIENCE = 5.0  # seconds; another worker that joins holds the folder's lock for an instant
ARRAY = ".slurm_array"  # file of a sweep's folder: the array whose tasks are its workers


def join(folder: Path, worker: int | None) -> None:
    """Be a worker of a sweep until `release` or this process's end, or carry it out alone.

    Args:
        folder: of the sweep.
        worker: its number; None to be alone.

    Raises:
        UsageError: the number is taken, or others carry the sweep out, who have none or beside whom it needs one.
    """
    if worker is None:
        lock(folder, None)
        if others := [*workers_of(folder)]:
            release()
            numbers = ", ".join(map(str, others))
            raise UsageError(
                f"{folder}: workers {numbers} carry this sweep out; --worker with another number joins them"
            )
        return
    with closing(_entrance(folder)):
        if worker in workers_of(folder):
            raise UsageError(f"--worker {worker}: another process has this number; each worker needs its own")
        lock(folder, None, _name(worker))


def _name(worker: int) -> str:
    return f".worker_{worker}.lock"


def _entrance(folder: Path) -> Lock:
    """The folder's lock, held while a worker joins, or by a process that carries the sweep out alone."""
    latest = time.monotonic() + PATIENCE
    while True:
        try:
            return Lock(folder / ".lock")
        except Timeout:
            if time.monotonic() > latest:
                raise UsageError(
                    f"{folder}: a process without --worker carries this sweep out; stop that first"
                ) from None
            time.sleep(0.05)


def workers_of(folder: Path) -> Iterator[int]:
    """The numbers of the workers that live, this process among them; their locks end with them."""
    for file in sorted(folder.glob(_name(0).replace("0", "*"))):
        number = file.name[len(".worker_") : -len(".lock")]
        if number.isdecimal() and is_held(file):
            yield int(number)


def of_array(plan: SweepPlan, logs: Path, worker: int) -> Path:
    """The folder of the sweep that the tasks of this SLURM array share; the first of them begins it.

    Raises:
        UsageError: this is no task of an array, or another task has begun another sweep.
    """
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    if array is None:
        raise UsageError(
            f"--worker {worker}: of which sweep? Give --resume with its folder, or start the workers as a SLURM array"
        )
    parent = logs / plan.name
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--logs {logs}: cannot be written ({error.strerror})") from None
    with exclusive(parent / ".sweeps.lock"):
        for file in parent.glob(f"sweep_*/{ARRAY}"):
            if file.read_text(encoding="utf-8").strip() == array:
                if asdict(read_plan(SweepPlan, file.with_name(plan.file_name))) != asdict(plan):
                    raise UsageError(f"{file.parent}: was begun by another task of this array with other settings")
                return file.parent
        folder = claim(logs, plan.name, Path(plan.file_name).stem)
        write_plan(plan, folder)
        write_whole(folder / ARRAY, f"{array}\n")
    return folder
