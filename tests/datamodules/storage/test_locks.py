import errno
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest
from filelock import Timeout

from datamodules.storage import locks
from datamodules.storage.locks import Lock, exclusive, marker_of


def raises(code: int) -> Callable[..., NoReturn]:
    """A function that fails with this error."""

    def fails(*_: object, **__: object) -> NoReturn:
        raise OSError(code, os.strerror(code))

    return fails


@pytest.fixture(params=["locks", "no locks"], autouse=True)
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system with locks, and one without, such as Lustre mounted without flock."""
    if request.param == "no locks":
        monkeypatch.setattr(locks, "lock_descriptor", raises(errno.ENOSYS))
        monkeypatch.setattr(locks, "MARKER_TIMEOUT", 0.06)  # one second attempt


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Within this, another process holds the lock, which is killed at the end."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            with closing(Lock(path)):
                os.write(writing, b"1")
                signal.pause()
        finally:
            os._exit(0)
    assert os.read(reading, 1) == b"1"
    try:
        yield
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(reading)
        os.close(writing)


@pytest.mark.needs("fork")
def test_one_process_at_a_time_and_kill_9_releases_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with held(path), pytest.raises(Timeout):
        Lock(path)
    Lock(path).close()


def test_a_process_cannot_lock_twice(tmp_path: Path) -> None:
    with closing(Lock(tmp_path / "x.lock")), pytest.raises(Timeout):
        Lock(tmp_path / "x.lock")
    Lock(tmp_path / "x.lock").close()


@pytest.mark.needs("fork")
def test_a_forked_process_closes_its_copy_and_the_lock_is_still_held(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with closing(Lock(path)) as lock:
        process = os.fork()
        if process == 0:
            lock.remove()
            os._exit(0)
        os.waitpid(process, 0)
        with pytest.raises(Timeout):
            Lock(path)


def test_the_content_of_the_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    path.write_text("12\njob\n")
    with closing(Lock(path)), pytest.raises(Timeout):
        Lock(path)
    assert path.read_text() == "12\njob\n"


def test_a_waiting_process_gets_the_lock_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.lock"
    lock = Lock(path)
    attempts: list[float] = []

    def sleep(seconds: float) -> None:
        attempts.append(seconds)
        if len(attempts) == 3:
            lock.close()

    monkeypatch.setattr(locks, "NOTE_AFTER", -1)
    monkeypatch.setattr(locks, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    with exclusive(path):
        assert attempts == [locks.POLL_INTERVAL] * 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"note: {path}: waiting for another process")


@pytest.mark.parametrize("file_system", ["no locks"], indirect=True)
@pytest.mark.parametrize("code", sorted({*locks.NO_LOCKS}))
def test_every_error_of_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(locks, "lock_descriptor", raises(code))
    with closing(Lock(tmp_path / "x.lock")), pytest.raises(Timeout):
        Lock(tmp_path / "x.lock")
    assert os.listdir(tmp_path) == ["x.lock"]


@pytest.mark.parametrize("file_system", ["no locks"], indirect=True)
def test_another_error_is_not_taken_for_a_held_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "lock_descriptor", raises(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        Lock(tmp_path / "x.lock")


@pytest.mark.parametrize("file_system", ["no locks"], indirect=True)
def test_a_marker_of_another_host_is_kept_and_reported(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with closing(Lock(path)):
        marker = marker_of(path).read_bytes()
    host = os.uname().nodename.encode()
    assert host in marker
    marker_of(path).write_bytes(marker.replace(host, b"elsewhere"))
    with pytest.raises(Timeout):
        Lock(path)
    assert locks.if_gone(path) == f"; if there is none, on any host, remove {marker_of(path)}"


def test_a_folder_that_may_not_be_written_is_told_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "open", raises(errno.EACCES))
    with pytest.raises(PermissionError):  # not: no such file
        Lock(tmp_path / ".lock")


@pytest.mark.parametrize("code", [errno.EIO, getattr(errno, "ESTALE", errno.EIO)])
def test_a_server_that_fails_to_lock_is_told_with_the_file(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "lock_descriptor", raises(code))
    with pytest.raises(OSError, match=r"\.lock"):
        Lock(tmp_path / ".lock")
