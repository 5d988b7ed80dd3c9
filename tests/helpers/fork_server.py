"""Processes that are forked from one that has imported torch and the project for all of them: a start takes no time."""

import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch

from datamodules.loading.die_with_parent import LAUNCHER, end_with_launcher
from scripts.cli.command_line.recipes import ROOT
from scripts.fit import main as fit
from tests.helpers.undrawn import draw, is_drawn

FORKSERVER = get_context("forkserver")
FORKSERVER.set_forkserver_preload(["tests.helpers.stopping", "scripts.cli.run.experiment", "lightning_modules.mlp"])


class Forked(ForkServerProcess):
    """A process that calls a function, used as one of `subprocess.Popen`.

    Args:
        function: of a module, by which the process finds it.
        args: of the function.
        out: a file, or the slave's path of a terminal, for what it prints.
        err: likewise for errors; by default the same.
        variables: its whole environment; by default that of this process.
    """

    def __init__(
        self,
        function: Callable[..., object],
        *args: Any,
        out: str | Path,
        err: str | Path | None = None,
        variables: dict[str, str] | None = None,
    ) -> None:
        if str(ROOT) not in sys.path:  # which is theirs, too
            sys.path.append(str(ROOT))
        streams = (str(out), str(err or out))
        super().__init__(target=_run, args=(function, args, streams, variables or dict(os.environ), is_drawn()))
        self.start()

    def poll(self) -> int | None:
        """How it has ended, if it has."""
        return self.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """How it ends: its exit status, or the negative of the signal that killed it."""
        self.join(timeout)
        if self.exitcode is None:
            raise subprocess.TimeoutExpired(self.name, timeout or 0)
        return self.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.pid is not None
        os.kill(self.pid, number)


def _run(
    function: Callable[..., object],
    args: tuple[Any, ...],
    streams: tuple[str, str],
    variables: dict[str, str],
    drawn: bool,
) -> None:
    """Be a process of its own: what would have been said before torch was imported is said now."""
    os.setsid()
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(variables)
    tempfile.tempdir = None  # is found out again
    torch.set_num_threads(1)
    draw(drawn)
    for stream, name in enumerate(streams, 1):
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOCTTY, 0o666)
        os.dup2(descriptor, stream)
        os.close(descriptor)
    encoding = variables.get("PYTHONIOENCODING", "utf-8")
    sys.stdout, sys.stderr = (open(stream, "w", encoding=encoding, buffering=1, closefd=False) for stream in (1, 2))  # noqa: SIM115
    try:
        function(*args)
    except Exception:
        traceback.print_exc()
        raise SystemExit(1) from None


def code_as_program(code: str, words: list[str]) -> None:
    """Be `python -c` with this code and these words."""
    sys.argv = ["-c", *words]
    exec(code, {"__name__": "__main__"})


def fit_as_program(words: list[str]) -> None:
    """Be `python scripts/fit.py` with these words."""
    sys.argv = [str(ROOT / "scripts" / "fit.py"), *words]
    os.environ.pop(LAUNCHER, None)  # of the tests
    end_with_launcher()
    sys.modules["__main__"].__spec__ = None  # else further processes would be started as this one was
    fit(words)
