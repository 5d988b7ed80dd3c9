"""A run's folder has one writer, whatever file system it is on."""

import errno
import os
import re
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datamodules.errors import DataError
from datamodules.storage import locks
from datamodules.storage.locks import marker_of
from scripts.cli.errors import UsageError
from scripts.cli.run.folder import claim, find_checkpoint, folder_of_job, lock, newest_checkpoint, release


@pytest.fixture(autouse=True)
def released() -> Iterator[None]:
    """No lock is left to other tests."""
    yield
    release()


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks."""

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(locks, "lock_descriptor", refused)


@pytest.fixture
def elsewhere(no_locks: None, tmp_path: Path) -> Path:
    """A run that a killed job on another host left on such a file system."""
    run = tmp_path / "mlp" / "version_0"
    run.mkdir(parents=True)
    lock(run, "slurm 7")
    here, held = socket.gethostname(), marker_of(run / ".lock")
    left = held.read_text(encoding="utf-8"), (run / ".lock").read_text(encoding="utf-8")
    release()
    for file, text in zip((held, run / ".lock"), left, strict=True):
        file.write_text(text.replace(here, "node-b"), encoding="utf-8")
    return run


@pytest.mark.parametrize("file_system", ["locks", "no locks"])
def test_a_run_is_locked_once(file_system: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if file_system == "no locks":
        request.getfixturevalue("no_locks")
    lock(tmp_path, "slurm 7")
    with pytest.raises(UsageError, match=rf"another run is writing there \(process {os.getpid()}\)"):
        lock(tmp_path, None)
    release()
    lock(tmp_path, None)


def test_a_marker_of_another_host_is_told_with_what_to_remove(elsewhere: Path) -> None:
    process = os.getpid()
    message = rf"writing there \(process {process} on node-b\); if there is none, on any host, remove \S+\.lock\.held$"
    with pytest.raises(UsageError, match=message):
        lock(elsewhere, "slurm 8")
    marker_of(elsewhere / ".lock").unlink()
    lock(elsewhere, "slurm 8")


def test_a_job_that_is_started_again_takes_the_lock_of_its_earlier_start(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("JOB_ID", "7"), ("NTASKS", "1"), ("JOB_NAME", "train"), ("RESTART_COUNT", "1")):
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert folder_of_job(elsewhere.parents[1], "mlp", "slurm 7") == elsewhere
    lock(elsewhere, "slurm 7")


@pytest.mark.parametrize(
    ("make", "found"),
    [("mkdir", "a folder"), pytest.param("mkfifo", "a named pipe", marks=pytest.mark.needs("mkfifo"))],
)
def test_a_lock_that_cannot_be_opened_is_not_said_to_be_held(make: str, found: str, tmp_path: Path) -> None:
    getattr(os, make)(tmp_path / ".lock")
    with pytest.raises(DataError, match=rf"\.lock: expected a file, found {found}$"):
        lock(tmp_path, None)


def test_what_a_lock_s_file_says_is_read_whatever_it_is(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_bytes(b"\xd6\xd0")
    lock(tmp_path, None)


@pytest.fixture
def of_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A run into which this user may not write."""
    (tmp_path / ".lock").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path / ".lock")
    return tmp_path


def test_another_user_s_run_is_not_resumed(of_another: Path) -> None:
    with pytest.raises(UsageError, match=r"belongs to .*, and you may not write there; resume a copy of it$"):
        lock(of_another, None)  # a sweep
    (of_another / "checkpoints").mkdir()
    with pytest.raises(
        UsageError, match=r"resume a copy of it, or start a run from its weights with --model.pretrained"
    ):
        lock(of_another, None)


@pytest.mark.parametrize("find", [find_checkpoint, newest_checkpoint])
def test_checkpoints_that_may_not_be_listed_are_not_said_to_be_missing(
    find: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    (tmp_path / "checkpoints").mkdir()
    monkeypatch.setattr(os, "listdir", denied)
    with pytest.raises(PermissionError, match="checkpoints"):
        find(tmp_path)


def test_logs_that_may_not_be_written_say_what_to_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    (tmp_path / "mlp").mkdir()
    monkeypatch.setattr(Path, "mkdir", denied)
    message = (
        rf"--logs {re.escape(str(tmp_path / 'mlp'))}: cannot be written \(.*\); give --logs, a folder that you may"
    )
    with pytest.raises(UsageError, match=message):
        claim(tmp_path, "mlp")


def test_logs_that_may_not_even_be_looked_into_say_what_to_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path, **_: object) -> os.stat_result:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", denied)
        with pytest.raises(
            UsageError, match=r"--logs \S+: cannot be written \(.*\); give --logs, a folder that you may"
        ):
            claim(tmp_path, "mlp")


@pytest.mark.skipif(not hasattr(os, "umask") or os.name == "nt", reason="permissions are inherited")
def test_the_folder_of_a_model_s_runs_is_the_group_s_where_that_of_all_runs_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o2770)
    before = os.umask(0o077)
    try:
        run = claim(tmp_path, "mlp")
    finally:
        os.umask(before)
    assert stat.S_IMODE(run.parent.stat().st_mode) & 0o070 == 0o070
    assert stat.S_IMODE(run.stat().st_mode) & 0o070 == 0, "the run is its user's, as the umask has it"
