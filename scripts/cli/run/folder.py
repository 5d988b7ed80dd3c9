"""A run's folder: claimed, locked, found again, and its checkpoints and results."""

import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from filelock import Timeout

from callbacks.run.checkpoint_file import CheckpointError, read_checkpoint
from callbacks.run.run_folder import FolderGoneError, RunFolder, gone
from datamodules.storage.locks import Lock, if_gone, marker_of
from datamodules.storage.permissions import make_folder
from scripts.cli.command_line.recipes import Config, Request, dump
from scripts.cli.command_line.resume_changes import is_longer
from scripts.cli.distributed.launch import job, started_again
from scripts.cli.errors import UsageError
from scripts.cli.run.files import holder, write_whole


def claim(logs: Path, name: str, what: str = "version") -> Path:
    """Make the next free folder `<logs>/<name>/version_N`; two runs that start at once get one each.

    Args:
        logs: of all runs.
        name: of the model.
        what: the folder's name without its index.

    Raises:
        UsageError: nothing can be written there, or TensorBoard could not.
    """
    parent = logs / name
    try:
        str(parent).encode()
    except UnicodeEncodeError:
        raise UsageError(f"--logs {logs}: TensorBoard needs a folder whose name is UTF-8") from None
    try:
        make_folder(parent)  # for the group, too, where it may write into that of all runs
        taken = [int(end) for folder in parent.glob(f"{what}_*") if (end := folder.name[len(what) + 1 :]).isdecimal()]
        index = max(taken, default=-1) + 1
        while True:
            folder = parent / f"{what}_{index}"
            try:
                folder.mkdir()
            except FileExistsError:
                index += 1
            else:
                return folder
    except OSError as error:
        where = parent if os.path.isdir(parent) else logs  # Path.is_dir may be denied, too
        raise UsageError(
            f"--logs {where}: cannot be written ({error.strerror}); give --logs, a folder that you may write"
        ) from None


class Found(NamedTuple):
    """A run's folder.

    Args:
        folder: of the run.
        checkpoint: its newest valid checkpoint; None where nothing has been saved.
    """

    folder: Path
    checkpoint: Path | None


_LOCKS: list[Lock] = []  # held until the run ends, in whatever way


def lock(folder: Path, job_name: str | None, name: str = ".lock") -> None:
    """Be the only process group that writes into a run's folder, until `release` or this process's end.

    Args:
        folder: of the run.
        job_name: what its job is called, for `folder_of_job`; None outside one.
        name: of the file that is locked.

    Raises:
        UsageError: another run is writing there, or this user may not.
    """
    path = folder / name
    if not all(os.access(each, os.W_OK) for each in (folder, path) if each.exists()):
        weights = f", or start a run from its weights with --model.pretrained {folder}"
        raise UsageError(
            f"{folder}: belongs to {owner(folder)}, and you may not write there; resume a copy of it"
            f"{weights if (folder / 'checkpoints').is_dir() else ''}"
        )
    process, of_job, host = holder(path)
    if job_name is not None and job_name == of_job and started_again():
        marker_of(path).unlink(missing_ok=True)  # of this job's earlier start, which its host may have ended with
    try:
        taken = Lock(path)
    except Timeout:
        where = f"process {process} on {host}" if host not in ("", socket.gethostname()) else f"process {process}"
        raise UsageError(f"{folder}: another run is writing there ({where}){if_gone(path)}") from None
    for marker in folder.glob(".failed-*"):  # of an earlier failure
        marker.unlink()
    _LOCKS.append(taken)
    content = f"{os.getpid()}\n{job_name or ''}\n{socket.gethostname()}\n".encode()
    try:
        taken.file.truncate(0)
        os.write(taken.file.fileno(), content)  # without a buffer, that closing would write again
    except OSError as error:  # of a full disk it has no name
        error.filename = str(path)
        raise


def owner(path: Path) -> str:
    """The user to whom a file or folder belongs."""
    try:
        return path.owner()
    except (KeyError, OSError, NotImplementedError):  # no user of this machine; on Windows: not known
        return f"user {path.stat().st_uid}"


def release() -> None:
    """Let other processes resume this process's runs."""
    while _LOCKS:
        _LOCKS.pop().close()


# A lock belongs to all who have the file open: a process that loads data and outlives its run would keep it. It only
# closes its copy; unlocked, the file would be so for the run, too.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=release)


def folder_of_job(logs: Path, name: str, job: str) -> Path | None:
    """The folder that an earlier start of the same job has claimed."""
    for folder in sorted((logs / name).glob("version_*")):
        if holder(folder / ".lock")[1] == job:
            return folder
    return None


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest valid checkpoint of a run, with a note if that is not the last one.

    Unfinished files of an earlier end are removed.
    """
    checkpoints = folder / "checkpoints"
    check_listable(checkpoints)
    for unfinished in checkpoints.glob(".*"):
        unfinished.unlink()
    files = sorted(checkpoints.glob("*.ckpt"), key=lambda file: (-file.stat().st_mtime_ns, file.name != "last.ckpt"))
    for file in files:
        try:
            read_checkpoint(file, mapped=True)
        except CheckpointError as error:
            print(f"note: {file}: {error}; looking for an older one", file=sys.stderr)
        else:
            return file
    return None


def check_listable(folder: Path) -> None:
    """Raise the OSError of a folder that exists but may not be listed; `glob` takes it for empty."""
    with suppress(FileNotFoundError):
        os.listdir(folder)


def resume(folder: Path, job_name: str | None, further: bool = False) -> Found:
    """Lock a run's folder and find its newest valid checkpoint.

    Args:
        folder: of the run.
        job_name: what its job is called; None outside one.
        further: whether it is to have more epochs or steps than it had.

    Raises:
        UsageError: another run is writing there, or it has finished.
    """
    lock(folder, job_name)
    if (folder / "results.json").exists() and not further:
        raise UsageError(
            f"{folder}: this run has finished; --resume with a larger --trainer.max_epochs trains it further, "
            f"scripts/test.py tests it"
        )
    return Found(folder, newest_checkpoint(folder))


def find_or_claim(request: Request, logs: Path, config: Config) -> Found:
    """Where a run writes: into its own folder, if it was stopped and is resumed; else into a new one.

    Args:
        request: of the command line.
        logs: of all runs.
        config: the resolved configuration, which a new folder gets.

    Raises:
        UsageError: the run cannot be resumed, or nothing can be written.
    """
    if request.resume:
        found = resume(request.resume, job(), is_longer(request.earlier, config))
        if found.checkpoint is None:
            raise UsageError(f"--resume {request.resume}: no valid checkpoint in it, so there is nothing to resume")
        return found
    earlier = earlier_start(request.name, logs)
    if earlier is not None:
        return resume(earlier, job())
    folder = claim(logs, request.name)
    run = RunFolder(folder)
    lock(folder, job())
    write_whole(folder / "config.yaml", dump(config))
    run.check()  # writing would have created it again, without its lock
    return Found(folder, None)


def earlier_start(name: str, logs: Path) -> Path | None:
    """The folder of the run that this job has begun before SLURM or torchrun started it again."""
    this = job()
    return folder_of_job(logs, name, this) if this is not None and started_again() else None


def make_checkpoints_folder(folder: Path) -> None:
    """Make the checkpoints' folder, so that from the beginning it is seen when it or the run's is deleted.

    Raises:
        FolderGoneError: the run's was deleted as soon as it was there.
    """
    try:
        (folder / "checkpoints").mkdir(exist_ok=True)
    except FileNotFoundError:
        raise FolderGoneError(gone(folder)) from None


def find_checkpoint(path: Path, option: str = "--checkpoint") -> Path:
    """The checkpoint that a path means: itself, or the best one of a run's folder.

    Args:
        path: of a file or a folder.
        option: that gave it.

    Raises:
        UsageError: there is none.
    """
    if path.is_file():
        return path
    if not path.exists():
        raise UsageError(f"{option} {path}: there is no such file or run")
    folder = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    check_listable(folder)
    for name in ("best", "last", "previous"):
        if found := sorted(folder.glob(f"{name}*.ckpt")):
            return found[0]
    raise UsageError(f"{option} {path}: no checkpoint in it")


def other_checkpoint(damaged: Path) -> str:
    """The advice where a checkpoint is damaged: the newest valid one of its run, if there is any."""
    for file in sorted(damaged.parent.glob("*.ckpt"), key=lambda file: -file.stat().st_mtime_ns):
        if file == damaged:
            continue
        try:
            read_checkpoint(file, mapped=True)
        except CheckpointError:
            continue
        return f"; the newest valid one in its folder is {file.name}"
    return ""
