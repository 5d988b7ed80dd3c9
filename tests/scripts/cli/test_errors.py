"""What the system denies is one line, whoever asked it, and whatever a library has made of its error."""

import errno
import io
import os
import sys
from pathlib import Path

import pytest

from scripts.cli.errors import UsageError, of_system, one_line_errors


def denied(code: int, *name: str) -> OSError:
    return OSError(code, os.strerror(code), *name)


def wrapped(error: OSError) -> RuntimeError:
    """As torch's compiler wraps it."""
    try:
        raise error
    except OSError:
        try:
            raise RuntimeError(f"PermissionError: {error}") from None
        except RuntimeError as outer:
            return outer


@pytest.mark.parametrize(
    ("error", "line", "status"),
    [
        (denied(errno.EACCES, "/other/run"), "/other/run: Permission denied", 2),
        (denied(errno.EPERM, "/other/run"), "/other/run: Operation not permitted", 2),
        (denied(errno.EROFS, "/mnt/x"), "/mnt/x: Read-only file system", 2),
        (denied(errno.ENOSPC), "a file cannot be written: No space left on device", 2),
        (denied(errno.EDQUOT, "/home/x"), "/home/x: ", 2),
        (denied(errno.EFBIG, "/home/x"), "/home/x: File too large", 2),
        (wrapped(denied(errno.EACCES, "/other/cache")), "/other/cache: Permission denied", 2),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), "no folder for temp", 2),
        (OSError("Matplotlib requires access to a writable cache directory, but"), "no folder for temporary files", 2),
        (denied(errno.EMFILE, "/home/x"), "/home/x: Too many open files: a limit", 1),
        (denied(errno.EAGAIN), "Resource temporarily unavailable: a limit", 1),
        (MemoryError(), "no memory is left; ", 1),
        (RuntimeError("can't start new thread"), "can't start new thread; ", 1),
        (ImportError("libtorch.so: failed to map segment from shared object"), "libtorch.so: failed to map", 1),
    ],
    ids=str,
)
def test_what_the_system_denies_is_one_line(
    error: Exception, line: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, one_line_errors(debug=False):
        raise error
    assert ended.value.code == status
    err = capsys.readouterr().err
    assert err.startswith(f"error: {line}")
    assert len(err.splitlines()) == 1
    with pytest.raises(type(error)), one_line_errors(debug=True):
        raise error


def test_an_error_of_ours_while_one_of_the_system_is_handled_keeps_its_traceback() -> None:
    try:
        raise denied(errno.EACCES, "/other/run")
    except OSError:
        with pytest.raises(KeyError), one_line_errors(debug=False):
            raise KeyError("ours")  # noqa: B904 (so that the system's is its context)
    assert of_system(FileNotFoundError(errno.ENOENT, "No such file", "ours")) is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk here that is always full")
def test_a_screen_that_goes_to_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with io.TextIOWrapper(open("/dev/full", "wb")) as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as ended, one_line_errors(debug=False):
            print("trained", flush=True)
        assert ended.value.code == 2
        full.flush()


def test_what_the_user_can_mend_is_still_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, one_line_errors(debug=False):
        raise UsageError("--data x: there is none")
    assert (ended.value.code, capsys.readouterr().err) == (2, "error: --data x: there is none\n")
