import io
import time
from typing import Any

import pytest
from rich.console import Console

from callbacks.loggers.screen import Lines, Screen, Status, fitting
from tests.helpers.terminal import Terminal

STATUS = Status("epoch 4/15", 312, 468, 12.0, ["loss 0.231", "val/accuracy 0.981", "val/f1 0.975"], "step")


def screen_of(columns: int, **options: Any) -> tuple[Screen, io.BytesIO]:
    """A screen of so many columns, and what is written on it."""
    screen, written = Screen(), io.BytesIO()
    file = io.TextIOWrapper(written, encoding=options.pop("encoding", "utf-8"), write_through=True, newline="\r\n")
    given: dict[str, Any] = {"force_terminal": True, "_environ": {"TERM": "xterm"}} | options
    screen.console = Console(file=file, width=columns, **given)
    return screen, written


def drawn(columns: int, status: Status = STATUS, **options: Any) -> str:
    """The line that stands on a terminal."""
    screen, written = screen_of(columns, **options)
    screen.start()
    screen.draw(status)
    terminal = Terminal(columns)
    terminal.feed(written.getvalue())
    screen.stop()
    (line,) = [line for line in terminal.lines if line]
    return line


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (60, "epoch 4/15 ━━━╺━ 312/468 0:12 left  loss 0.231"),
        (67, "epoch 4/15 ━━━╺━ 312/468 0:12 left  loss 0.231  val/accuracy 0.981"),
        (80, "epoch 4/15 ━━━━━━╸━━━ 312/468 0:12 left  loss 0.231  val/accuracy 0.981"),
        (120, "epoch 4/15 ━━━━━━━━━━╺━━━━ 312/468 0:12 left  loss 0.231  val/accuracy 0.981  val/f1 0.975"),
        (34, "epoch 4/15 ━━━╺━ 312/468 0:12 left"),
        (33, "epoch 4/15 ━━━╺━ 312/468"),
    ],
)
def test_the_line_is_cut_from_the_right_and_never_the_bar(columns: int, line: str) -> None:
    assert drawn(columns) == line


@pytest.mark.parametrize("columns", [5, 10, 20, 30, 59])
def test_a_narrow_terminal_is_no_error_and_has_one_line(columns: int) -> None:
    assert drawn(columns)[0] == "e"


@pytest.mark.parametrize("encoding", ["ascii", "gb18030", "cp1252"])
def test_a_console_that_is_not_unicode_has_a_bar_of_hyphens(encoding: str) -> None:
    assert drawn(60, encoding=encoding) == "epoch 4/15 --- - 312/468 0:12 left  loss 0.231"


def test_without_colours_the_bar_shows_how_far_it_is_all_the_same() -> None:
    line = drawn(60, no_color=True)
    assert line == "epoch 4/15 ━━━   312/468 0:12 left  loss 0.231"


def test_an_unknown_total_and_an_unknown_time_are_told_as_such() -> None:
    assert drawn(60, Status("epoch 1", 7, float("inf"), 61.0, is_left=False)).endswith(" 7 1:01 so far")
    assert drawn(60, Status("epoch 1/2", 7, 90)).endswith("  7/90 -:-- left")


@pytest.mark.parametrize(
    "options", [{"force_terminal": False}, {"_environ": {"TERM": "dumb"}}, {"force_jupyter": True}]
)
def test_where_no_line_can_be_redrawn_plain_lines_are_written(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen, written = screen_of(60, **options)
    assert not screen.is_live
    if "force_jupyter" in options:
        return
    screen.start()
    screen.draw(STATUS)
    line = "epoch 4/15  step 312 of 468  0:12 left  loss 0.231  val/accuracy 0.981  val/f1 0.975\r\n"
    assert written.getvalue().decode() == line


def test_fields_are_left_out_from_the_right() -> None:
    assert fitting(["a", "bb", "c"], 5) == ["a", "bb"]
    assert fitting(["a", "bbbb", "c"], 5) == ["a"]  # and none that is further right
    assert fitting(["abc"], 1) == ["abc"]
    assert fitting(["名", "字"], 5) == ["名"]  # each two columns wide


def test_of_many_lines_a_second_the_newest_best_and_the_last_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, written = screen_of(60, force_terminal=False)
    lines, now = Lines(screen), 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for number in range(200):
        now = 0.01 * number
        lines.add(f"{number}", is_best=number in (0, 50, 57, 150))
    lines.settle(at_once=True)
    assert written.getvalue().decode().split() == ["0", "57", "100", "150", "199"]


def test_a_line_that_is_held_is_written_when_it_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, written = screen_of(60, force_terminal=False)
    lines, now = Lines(screen), 10.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    lines.add("first", is_best=False)
    lines.add("second", is_best=False)
    assert written.getvalue().decode().split() == ["first"]
    now = 11.5
    lines.settle()
    lines.settle(at_once=True)
    assert written.getvalue().decode().split() == ["first", "second"]
