import errno
import os
import signal
import threading
import time
from contextlib import closing, contextmanager

import pytest
from filelock import Timeout

from datamodules.storage import locks
from datamodules.storage.locks import Lock, exclusive, marker_of


@pytest.fixture(params=["locks", "no locks"], autouse=True)
def file_system(request, monkeypatch):
    """One with locks, and one without, such as Lustre mounted without flock."""
    if request.param == "no locks":

        def refused(*_, **__):
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

        monkeypatch.setattr(locks, "lock_descriptor", refused)


@contextmanager
def held(path):
    """Within this, another process holds the lock; its number, by which it may be killed."""
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
        yield process
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(reading)
        os.close(writing)


def test_one_process_at_a_time_and_kill_9_gives_it_back(tmp_path):
    path = tmp_path / "x.lock"
    with held(path), pytest.raises(Timeout):
        Lock(path)
    Lock(path).close()


def test_twice_in_one_process_is_one_too_many(tmp_path):
    with closing(Lock(tmp_path / "x.lock")), pytest.raises(Timeout):
        Lock(tmp_path / "x.lock")
    Lock(tmp_path / "x.lock").close()


def test_a_forked_process_closes_its_copy_and_the_lock_is_still_held(tmp_path):
    path = tmp_path / "x.lock"
    with closing(Lock(path)) as lock:
        process = os.fork()
        if process == 0:
            lock.remove()
            os._exit(0)
        os.waitpid(process, 0)
        with pytest.raises(Timeout):
            Lock(path)


def test_what_the_file_holds_stays(tmp_path):
    path = tmp_path / "x.lock"
    path.write_text("12\njob\n")
    with closing(Lock(path)), pytest.raises(Timeout):
        Lock(path)
    assert path.read_text() == "12\njob\n"


def test_whoever_waits_is_next(tmp_path, monkeypatch, capsys):
    path = tmp_path / "x.lock"
    monkeypatch.setattr(locks, "NOTE_AFTER", 0)
    lock = Lock(path)
    threading.Timer(0.8, lock.close).start()
    began = time.monotonic()
    with exclusive(path):
        assert time.monotonic() - began > 0.2
    assert capsys.readouterr().err.startswith(f"note: {path}: waiting for another process")


@pytest.mark.parametrize("file_system", ["no locks"], indirect=True)
@pytest.mark.parametrize("number", sorted({*locks.NO_LOCKS}))
def test_each_way_to_say_that_there_are_no_locks(tmp_path, monkeypatch, number):
    def refused(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(locks, "lock_descriptor", refused)
    with closing(Lock(tmp_path / "x.lock")), pytest.raises(Timeout):
        Lock(tmp_path / "x.lock")
    assert os.listdir(tmp_path) == ["x.lock"]


@pytest.mark.parametrize("file_system", ["no locks"], indirect=True)
def test_another_failure_is_no_lock_of_another(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(locks, "lock_descriptor", broken)
    with pytest.raises(OSError, match="Input/output"):
        Lock(tmp_path / "x.lock")


@pytest.mark.parametrize("file_system", ["no locks"], indirect=True)
def test_a_marker_of_another_host_is_left_and_told(tmp_path):
    path = tmp_path / "x.lock"
    with closing(Lock(path)):
        marker = marker_of(path).read_bytes()
    host = os.uname().nodename.encode()
    assert host in marker
    marker_of(path).write_bytes(marker.replace(host, b"elsewhere"))
    with pytest.raises(Timeout):
        Lock(path)
    assert locks.if_gone(path) == f"; if there is none, on any host, remove {marker_of(path)}"
