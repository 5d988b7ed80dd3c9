import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datamodules.storage import atomic_file as files
from datamodules.storage.atomic_file import FULL, atomic_write, write_file


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time between two attempts."""
    monkeypatch.setattr(files, "WAITS", (0.0, 0.0))


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    """Sets the umask; it is what it was after the test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def failing(
    monkeypatch: pytest.MonkeyPatch,
    owner: object,
    name: str,
    number: int,
    times: int,
    only: Callable[..., bool] = lambda *_: True,
    done: bool = False,
) -> None:
    """Make a function fail with this error a number of times, after its work if `done`."""
    original, left = getattr(owner, name), [times]

    def fails(*args: object, **kwargs: object) -> object:
        if left[0] and only(*args):
            left[0] -= 1
            if done:
                original(*args, **kwargs)
            raise OSError(number, os.strerror(number))
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, fails)


def is_folder(descriptor: int, *_: object) -> bool:
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


def is_file(descriptor: int, *_: object) -> bool:
    return not is_folder(descriptor)


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_has_permissions_by_the_umask(
    tmp_path: Path, umask: Callable[[int], int], mask: int, mode: int
) -> None:
    umask(mask)
    write_file(tmp_path / "x", lambda file: file.write(b"new"))
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == mode


def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path: Path, umask: Callable[[int], int]) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    path.chmod(0o640)
    write_file(path, lambda file: file.write(b"new"))
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", 0o640)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES])
def test_a_folder_that_cannot_be_synced_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    failing(monkeypatch, os, "fsync", number, 99, is_folder)
    write_file(tmp_path / "x", lambda file: file.write(b"new"))
    assert (tmp_path / "x").read_bytes() == b"new"


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
@pytest.mark.parametrize(("name", "only"), [("fsync", is_file), ("fsync", is_folder), ("replace", lambda *_: True)])
def test_a_transient_failure_is_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, name: str, only: Callable[..., bool]
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    failing(monkeypatch, Path if name == "replace" else os, name, number, 2, only)
    write_file(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_lasting_failure_keeps_the_old_file_and_leaves_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    failing(monkeypatch, Path if name == "replace" else os, name, errno.ESTALE, 99)
    with pytest.raises(OSError, match=r"[Ss]tale"):
        write_file(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]


def test_a_rename_that_was_done_before_it_failed_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, Path, "replace", errno.ESTALE, 1, done=True)
    with atomic_write(tmp_path / "x") as file:
        file.write(b"new")
    assert (tmp_path / "x").read_bytes() == b"new"


def test_a_name_as_long_as_a_file_system_takes(tmp_path: Path) -> None:
    path = tmp_path / ("长" * 85)  # 255 bytes
    write_file(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("code", FULL)
def test_a_full_disk_is_told_with_the_file(code: int, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"predictions\.csv") as raised, atomic_write(tmp_path / "predictions.csv"):
        raise OSError(code, os.strerror(code))
    assert raised.value.filename == str(tmp_path / "predictions.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_not_be_written_is_told_with_the_file_not_its_temporary_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path, *_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(PermissionError) as raised, atomic_write(tmp_path / "predictions.csv"):
        pass
    assert raised.value.filename == str(tmp_path / "predictions.csv")
