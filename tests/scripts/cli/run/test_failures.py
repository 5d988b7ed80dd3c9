"""What a run says when it fails, where a real process would fail so only now and then."""

import errno
import os
from multiprocessing import connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from callbacks.run.checkpoint_file import write_checkpoint
from datamodules.errors import UserError
from scripts.cli.run.failures import one_cause


def killed_while_saving() -> None:
    try:
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")
    finally:  # as torch's writer does when it is closed in the middle of a file
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 394688 vs 394580")


def test_a_killed_loader_is_told_even_when_it_broke_into_a_save(tmp_path: Path) -> None:
    trainer: Any = SimpleNamespace(world_size=1, strategy=SimpleNamespace(launcher=None))
    with (
        pytest.raises(UserError, match=r"a process that loads data was killed.*\(DataLoader worker \(pid 7\)") as ended,
        one_cause(trainer, tmp_path),
    ):
        killed_while_saving()
    assert ended.value.status == 1, "of the command line"


class Vanishes(Dataset[Any]):
    """Its loader's process is gone where a batch is on its way."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.zeros(4)


@pytest.mark.parametrize("error", [ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), EOFError()])
def test_a_loader_that_is_killed_while_a_batch_comes_is_told(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reset(*args: Any, **options: Any) -> None:
        raise error

    trainer: Any = SimpleNamespace(world_size=1, strategy=SimpleNamespace(launcher=None))
    loader = DataLoader(Vanishes(), num_workers=1, multiprocessing_context="fork")
    batches = iter(loader)
    monkeypatch.setattr(connection.Connection, "recv_bytes", reset)
    monkeypatch.setattr(connection.Connection, "_recv", reset)
    with pytest.raises(UserError, match="a process that loads data was killed"), one_cause(trainer, tmp_path):
        next(batches)


def test_a_connection_that_others_lose_is_not_the_loaders(tmp_path: Path) -> None:
    trainer: Any = SimpleNamespace(world_size=1, strategy=SimpleNamespace(launcher=None))
    with pytest.raises(ConnectionResetError), one_cause(trainer, tmp_path):
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")


def test_what_broke_into_a_last_save_is_no_failure_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker that is gone has reset a connection; in the save that follows torch notices that it was killed."""

    def interrupted(*args: Any) -> None:
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")

    monkeypatch.setattr(torch, "save", interrupted)
    try:
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
    except OSError:
        with pytest.raises(RuntimeError, match="DataLoader worker"):
            write_checkpoint({}, tmp_path / "best.ckpt")


def test_what_nobody_can_mend_keeps_its_traceback(tmp_path: Path) -> None:
    trainer: Any = SimpleNamespace(world_size=1)
    with pytest.raises(KeyError), one_cause(trainer, tmp_path):
        raise KeyError("ours")


def test_shared_memory_that_is_full_is_told_with_what_needs_none(tmp_path: Path) -> None:
    trainer: Any = SimpleNamespace(world_size=1)
    with pytest.raises(UserError, match=r"--data\.num_workers 0 needs none"), one_cause(trainer, tmp_path):
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)")


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (errno.ENOSPC, "the disk is full: .* MB are free"),
        (errno.EDQUOT, "your quota on this disk is used up"),
        (errno.EFBIG, "cannot be written"),
    ],
)
def test_a_log_that_does_not_fit_says_what_is_full(code: int, line: str, tmp_path: Path) -> None:
    trainer: Any = SimpleNamespace(world_size=1)
    with pytest.raises(UserError, match=f"{line}.*the checkpoints are kept"), one_cause(trainer, tmp_path):
        raise OSError(code, "it does not fit")


@pytest.mark.parametrize("skew", [-3600, 3600])
def test_a_failure_is_reported_once_whatever_the_clock_of_the_file_server_says(
    skew: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reported = tmp_path / ".failed-0"
    reported.touch()
    now = reported.stat().st_mtime
    os.utime(reported, (now + skew, now + skew))
    trainer: Any = SimpleNamespace(world_size=2, strategy=SimpleNamespace(launcher=None))
    with pytest.raises(SystemExit) as ended, one_cause(trainer, tmp_path):
        raise RuntimeError("Connection closed by peer")
    assert (ended.value.code, capsys.readouterr().err) == (1, "")
    assert [path.name for path in tmp_path.iterdir()] == [".failed-0"]
