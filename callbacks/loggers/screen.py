"""What a run shows on a terminal, one line that is redrawn and lines that stay, or in a file, where all stay."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from callbacks.loggers.time_left import UNKNOWN, clock

LEAST_BAR, MOST_BAR = 5, 30  # columns


class Status(NamedTuple):
    """How far a stage is.

    Args:
        stage: its name.
        done: of its steps or batches.
        total: of them; infinite where that is unknown.
        seconds: until the run ends, or those of its beginning where that is unknown.
        metrics: name and value, the most important first.
        unit: what is counted.
        is_left: whether the seconds are those until the end.
    """

    stage: str
    done: int
    total: float
    seconds: float | None = None
    metrics: Sequence[str] = ()
    unit: str = "batch"
    is_left: bool = True

    @property
    def counted(self) -> str:
        """Done and total, for a terminal: always as wide, that nothing moves."""
        total = f"{self.total:.0f}"
        return f"{self.done:>{len(total)}}/{total}" if self.total < UNKNOWN else f"{self.done}"

    @property
    def counted_in_words(self) -> str:
        """Done and total, for a file."""
        of = f" of {self.total:.0f}" if self.total < UNKNOWN else ""
        return f"{self.unit} {self.done}{of}"

    @property
    def time(self) -> str:
        """The time that is left, or has passed."""
        ends = "left" if self.is_left else "so far"
        return f"{'-:--' if self.seconds is None else clock(self.seconds)} {ends}"


class Screen:
    """A line that is redrawn, with a bar, below lines that stay; where none can be redrawn, as in a file, plain lines.

    The first never has more columns than the terminal: metrics are left out from the right, then the time.
    """

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.bar: Bar | None = None
        self.column = BarColumn(bar_width=LEAST_BAR)
        self.task = TaskID(0)

    @property
    def is_live(self) -> bool:
        """Whether a line can be redrawn."""
        console = self.console
        return console.is_terminal and not console.is_dumb_terminal and not console.is_jupyter

    def start(self) -> None:
        """Begin to redraw a line, on a terminal."""
        if self.bar or not self.is_live:
            return
        stage, tail = (TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in ("stage", "tail"))
        self.bar = Bar(stage, self.column, tail, console=self.console, auto_refresh=False, transient=True)
        self.task = self.bar.add_task("", stage="", tail="")
        self.bar.start()

    def draw(self, status: Status) -> None:
        """Show how far a stage is: redraw the line, or write one."""
        if self.bar is None:
            known = [status.time] if status.seconds is not None else []
            self.write("  ".join([status.stage, status.counted_in_words, *known, *status.metrics]))
            return
        width = self.console.width
        room = width - cell_len(status.stage) - 2
        self.column.bar_width = max(LEAST_BAR, min(MOST_BAR, width // 8)) if width >= 80 else LEAST_BAR
        first = f"{status.counted} {status.time}"
        if cell_len(first) > room - LEAST_BAR:
            first = status.counted
        tail = "  ".join(fitting([first, *status.metrics], room - self.column.bar_width))
        total = status.total if status.total < UNKNOWN else None
        self.bar.update(self.task, completed=status.done, total=total, stage=status.stage, tail=tail)
        self.bar.refresh()

    def write(self, line: str | Text) -> None:
        """Write a line that stays."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def stop(self) -> None:
        """Remove the line that is redrawn."""
        if self.bar:
            self.bar.stop()
            self.bar = None


def fitting(fields: Sequence[str], width: int) -> list[str]:
    """The first field, and as many further ones as fit into a width, two blanks between them."""
    found = [*fields[:1]]
    for field in fields[1:]:
        if cell_len("  ".join([*found, field])) > width:
            break
        found.append(field)
    return found


class Lines:
    """Lines that are written at most once a second: of more, the newest of the best, and the last.

    Args:
        screen: that they are written on.
    """

    EVERY = 1.0  # seconds

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.held: list[tuple[str | Text, bool]] = []
        self.written_at = -UNKNOWN

    def add(self, line: str | Text, is_best: bool) -> None:
        """Write a line, or hold it until it is time."""
        best = [] if is_best else [each for each in self.held if each[1]]
        self.held = [*best, (line, is_best)]
        self.settle()

    def settle(self, at_once: bool = False) -> None:
        """Write what is held, if it is time."""
        now = time.monotonic()
        if not self.held or not (at_once or now - self.written_at >= self.EVERY):
            return
        self.written_at = now
        for line, _ in self.held:
            self.screen.write(line)
        self.held = []
