"""Work that takes long is told of: in place on a terminal, a line a minute in a file, nothing if it is short."""

from typing import Any

import pytest

from datamodules.storage import progress
from datamodules.storage.progress import Progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)  # type: ignore[attr-defined]
    return clock


def test_a_file_gets_a_line_a_minute(clock: Clock, capsys: Any) -> None:
    shown = Progress("reading", 100_000_000, done=10_000_000)
    for _ in range(13):
        clock.now += 10
        shown.add(2_000_000)
    shown.end()
    assert capsys.readouterr().err.splitlines() == [
        "reading: 22% of 100 MB, 0.2 MB/s, 6 min to go",
        "reading: 34% of 100 MB, 0.2 MB/s, 6 min to go",
    ]


def test_a_terminal_gets_a_line_that_is_removed(clock: Clock, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    shown = Progress("reading", 10**9)
    for _ in range(8):
        clock.now += 1
        shown.add(10**8)
    shown.end()
    lines = capsys.readouterr().err.split("\r")
    assert lines[1] == "reading: 10% of 1,000 MB, 100.0 MB/s, 9 s to go"
    assert lines[5] == "reading: 50% of 1,000 MB, 100.0 MB/s, 5 s to go"
    assert lines[-1] == ""
    assert not lines[-2].strip()


def test_what_is_short_is_not_told_of(clock: Clock, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    shown = Progress("reading", 100)
    clock.now += 0.5
    shown.add(60)
    clock.now += 0.4
    shown.add(20)
    clock.now += 3
    shown.add(20)
    shown.end()
    assert capsys.readouterr().err == ""


def test_what_is_no_text_is_counted(clock: Clock, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    shown = Progress("decoding", 10_000, unit="images")
    clock.now += 2
    shown.add(2500)
    assert capsys.readouterr().err == "\rdecoding: 25% of 10,000 images, 1,250 a second, 6 s to go"
