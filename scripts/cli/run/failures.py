"""The error message of a run: its cause, once, from one of its processes."""

import errno
import re
import shutil
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer

from callbacks.run.checkpoint_file import DiskFullError, UnsavedError, full
from callbacks.run.checkpoints import NonFiniteError
from callbacks.run.run_folder import FolderGoneError, gone
from callbacks.run.signals import Stopped
from datamodules.errors import UnlikeDataError, UserError
from datamodules.files.paths import relative
from datamodules.storage.atomic_file import TRANSIENT_ERRORS
from scripts.cli.distributed.launch import wait_for_others
from scripts.cli.errors import MachineError, of_loader, of_system
from scripts.cli.shell import quoted

LOST = re.compile(
    r"[Cc]onnection (was )?(closed|reset)|Broken pipe|[Gg]loo|NCCL|Timed out waiting|Socket (closed|Timeout)|recvValue"
)
MONITORED = re.compile(r"^Early stopping conditioned on metric")  # of Lightning, whose type is RuntimeError
PATIENCE = 5.0  # seconds that a failing process has to report its cause, when the others notice that it is gone


@contextmanager
def one_cause(trainer: Trainer, folder: Path) -> Iterator[None]:
    """Turn errors that the user can correct into one line, reported only by the process that failed.

    The others notice, at their next exchange, that it is gone: they end without a word, unless it was killed and
    could not report anything.

    Args:
        trainer: of the run.
        folder: of the run, which all processes see.
    """
    alone = trainer.world_size == 1
    try:
        yield
    except Exception as error:
        if isinstance(error, NonFiniteError | UnlikeDataError) or (alone and isinstance(error, UserError)):
            raise  # all processes have agreed on it, or there is but one: it is printed further out
        if isinstance(error, UnsavedError | FolderGoneError):
            raise
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            what = full(error.errno == errno.EDQUOT, shutil.disk_usage(folder).free)
            raise DiskFullError(f"{folder}: {what}; the checkpoints are kept") from None  # a log, not a checkpoint
        if isinstance(error, FileNotFoundError) and not folder.is_dir():
            raise FolderGoneError(gone(folder)) from None
        if isinstance(error, OSError) and error.errno in (errno.EFBIG, *TRANSIENT_ERRORS):
            where = error.filename or folder
            raise UnsavedError(f"{where}: cannot be written ({error.strerror}); the checkpoints are kept") from None
        line = in_one_line(error, trainer)
        if alone:
            if line is None:
                raise
            raise MachineError(line) from error
        if line is None and isinstance(error, RuntimeError | OSError) and LOST.search(str(error)):
            fall_silent(trainer, folder)
        denied = of_system(error)
        fail(trainer, folder, line or (str(denied) if denied else None), error)


def in_one_line(error: Exception, trainer: Trainer) -> str | None:
    """The message for an error that the user can correct; None where a traceback is more helpful."""
    if isinstance(error, UserError):
        return " ".join(str(error).split())
    if isinstance(error, torch.OutOfMemoryError):
        size = trainer.datamodule.batch_size  # type: ignore[attr-defined]
        smaller = f"; try --data.batch_size {max(1, size // 2)}, or auto" if size else ""
        return f"out of memory on {trainer.strategy.root_device} with --data.batch_size {size}{smaller}"
    if isinstance(error, MisconfigurationException) or MONITORED.search(str(error)):
        return f"--trainer: {' '.join(str(error).split())}"
    return of_loader(error)


def fail(trainer: Trainer, folder: Path, line: str | None, error: Exception) -> NoReturn:
    """Report why this process ends, and let the others know that it has been reported.

    Args:
        trainer: of the run.
        folder: of the run.
        line: to print; None for the traceback.
        error: what happened.
    """
    if line is None:
        traceback.print_exception(error)
    else:
        print(f"error: {line}", file=sys.stderr)
    sys.stderr.flush()
    if trainer.world_size > 1:
        with suppress(OSError):
            (folder / f".failed-{trainer.global_rank}").touch()
        for process in getattr(trainer.strategy.launcher, "procs", []):
            process.kill()  # they wait for this one, in vain, and have nothing to save
    raise SystemExit(1) from None


def leave(stopped: Stopped, trainer: Trainer, folder: Path) -> NoReturn:
    """End a run that a signal has stopped, with the signal's exit status.

    Processes that Lightning has started end with 0: it takes any other status for a failure, and kills the rest.
    """
    if trainer.is_global_zero:
        again = quoted(relative(folder))
        print(f"{stopped}; python scripts/fit.py --resume {again} resumes it", file=sys.stderr)
    wait_for_others(trainer)
    environment = getattr(trainer.strategy, "cluster_environment", None)
    child = isinstance(environment, LightningEnvironment) and trainer.local_rank > 0
    sys.exit(0 if child else stopped.status)


def fall_silent(trainer: Trainer, folder: Path) -> NoReturn:
    """End because another process is gone; report it if that one has not."""
    began = time.monotonic()
    started = getattr(trainer.strategy.launcher, "procs", [])
    while time.monotonic() - began < PATIENCE and not any((process.poll() or 0) < 0 for process in started):
        if any(folder.glob(".failed-*")):  # of this run, whatever its file server's clock says: `lock` removes others
            raise SystemExit(1) from None
        time.sleep(0.1)
    with suppress(OSError):
        (folder / ".failed-lost").touch(exist_ok=False)  # the first to notice reports it
        print(
            "error: another process of this run was lost: killed, or its machine is gone", file=sys.stderr, flush=True
        )
    raise SystemExit(1) from None
