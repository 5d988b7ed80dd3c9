import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

import datamodules.loading.workers
from datamodules.errors import DataError
from datamodules.loading.die_with_parent import is_alive
from datamodules.loading.examples import Loader, Rows
from datamodules.loading.workers import workers
from scripts.cli.command_line.recipes import ROOT
from scripts.cli.run.failures import in_one_line
from scripts.cli.run.folder import lock, release
from tests.helpers.waiting import soon

fcntl = pytest.importorskip("fcntl", reason="Windows has no forks")
hanging = 0  # so many of the next forks hang at once, as where they have inherited a lock that is held


def hang() -> None:
    if hanging:
        time.sleep(600)


def count() -> None:
    global hanging
    hanging = max(0, hanging - 1)


os.register_at_fork(after_in_child=hang, after_in_parent=count)


def load(number: int, rows: Rows) -> Tensor:
    batches = torch.arange(12).split(3)
    context = workers(number)
    loader = Loader(rows, batch_size=None, sampler=batches, num_workers=number, multiprocessing_context=context)
    return torch.cat(list(loader))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    global hanging
    monkeypatch.setattr(datamodules.loading.workers, "PATIENCE", 0.5)
    yield
    hanging = 0


@pytest.mark.usefixtures("impatient")
def test_one_that_hangs_at_its_start_is_begun_again() -> None:
    global hanging
    hanging = 1
    assert torch.equal(load(2, Rows(torch.arange(12))), torch.arange(12))
    assert hanging == 0


@pytest.mark.usefixtures("impatient")
def test_gives_up_where_all_of_them_hang() -> None:
    global hanging
    hanging = 100
    with pytest.raises(RuntimeError, match="a process that loads data hung at its start, 3 times in a row"):
        load(2, Rows(torch.arange(12)))


class Dying(Rows):
    def __getitem__(self, index: Tensor) -> Tensor:
        os.kill(os.getpid(), signal.SIGKILL)
        return index


def test_one_that_dies_is_still_found_out() -> None:
    with pytest.raises(RuntimeError, match="DataLoader worker"):
        load(1, Dying(torch.arange(12)))


def interrupt(*_: Any, **__: Any) -> None:
    raise InterruptedError  # as torch raises when another process that loads data was killed


@pytest.mark.parametrize(
    "where",
    [
        "multiprocessing.connection.answer_challenge",
        "multiprocessing.connection.deliver_challenge",
        "multiprocessing.connection._ConnectionBase.send",
        "multiprocessing.reduction.recv_handle",
    ],
)
def test_says_nothing_where_its_batch_is_taken_no_longer(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], where: str
) -> None:
    loader = Loader(
        Rows(torch.arange(12)),
        batch_size=None,
        sampler=torch.arange(12).split(3),
        num_workers=1,
        multiprocessing_context=workers(1),
    )
    batches = iter(loader)
    assert torch.equal(next(batches), torch.arange(3))
    monkeypatch.setattr(where, interrupt)
    with pytest.raises(InterruptedError) as ended:
        next(batches)
    monkeypatch.undo()
    del ended  # and with it the connection
    del batches, loader  # which waits for the process
    assert capfd.readouterr().err == ""


def test_none_are_begun_where_none_are_wanted() -> None:
    assert workers(0) is None


@pytest.mark.parametrize(("method", "forked"), [("fork", True), ("forkserver", True), ("spawn", False)])
def test_forks_unless_the_system_cannot(monkeypatch: pytest.MonkeyPatch, method: str, forked: bool) -> None:
    monkeypatch.setattr("datamodules.loading.workers.get_start_method", lambda: method)
    assert (workers(1) is not None) == forked


RUN = """
import os, sys, time, torch
from pathlib import Path
from datamodules.loading.examples import Loader, Rows
from datamodules.loading.workers import workers
from scripts.cli.run.folder import lock

class Slow(Rows):
    def __getitem__(self, index):
        os.write(1, f"{os.getpid()}\\n".encode())
        time.sleep(600)  # in which it looks at nothing

lock(Path(sys.argv[1]), None)
batches = torch.arange(12).split(3)
options = {"num_workers": 2, "multiprocessing_context": workers(2)}
list(Loader(Slow(torch.arange(12)), batch_size=None, sampler=batches, **options))
"""


def is_locked(folder: Path) -> bool:
    with (folder / ".lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


@pytest.mark.long
def test_those_of_a_run_that_is_killed_end_and_do_not_keep_its_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN, str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    ) as run:
        try:
            assert run.stdout is not None
            loaders = [int(run.stdout.readline()) for _ in range(2)]
            os.kill(loaders[0], signal.SIGSTOP)  # which could not end by itself
            assert is_locked(tmp_path)
        finally:
            run.kill()
    assert not is_locked(tmp_path)  # at once
    assert soon(lambda: not any(map(is_alive, loaders)))


def test_a_run_keeps_its_lock_when_its_processes_that_load_data_have_ended(tmp_path: Path) -> None:
    lock(tmp_path, None)
    assert torch.equal(load(2, Rows(torch.arange(12))), torch.arange(12))
    assert is_locked(tmp_path)
    release()
    assert not is_locked(tmp_path)


class Unsendable(Rows):
    """Batches that cannot be sent, as where shared memory is full."""

    def __getitem__(self, index: Any) -> Any:
        return threading.Lock()


def test_a_batch_that_cannot_be_sent_is_an_error_not_a_wait_without_end() -> None:
    with pytest.raises(TypeError, match=r"(?s)in a process that loads data.*cannot pickle"):
        load(2, Unsendable(torch.arange(12)))


class Broken(Rows):
    """Of which a file cannot be read, or something is wrong with the code."""

    def __init__(self, error: Exception) -> None:
        super().__init__(torch.zeros(12))
        self.error = error

    def __getitem__(self, index: Tensor) -> Tensor:
        raise self.error


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_error_in_one_is_told_as_it_is(num_workers: int) -> None:
    """Not as a process that was killed, and one that the user can correct in its own words."""
    trainer: Any = SimpleNamespace(world_size=1, strategy=SimpleNamespace(launcher=None))
    told = []
    for error in (DataError("x.png: line 2\nof a message"), ZeroDivisionError("division by zero")):
        with pytest.raises(type(error)) as raised:
            load(num_workers, Broken(error))
        told.append((str(raised.value), in_one_line(raised.value, trainer)))
    assert told[0] == ("x.png: line 2\nof a message", "x.png: line 2 of a message")
    assert told[1][1] is None
    assert "division by zero" in told[1][0]
