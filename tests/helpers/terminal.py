"""A terminal of a given width: what stands on it after a program has written to it."""

import os
import re
import select
import struct

import pyte

from tests.helpers.fork_server import Forked, fit_as_program

ROWS = 50


class Terminal:
    """A terminal, and what has stood on its last line.

    Args:
        columns: its width.
    """

    def __init__(self, columns: int) -> None:
        self.screen = pyte.HistoryScreen(columns, ROWS, history=10_000)
        self.stream = pyte.ByteStream(self.screen)
        self.last_lines: list[str] = []

    def feed(self, content: bytes) -> None:
        """Take what a program writes, a line that is redrawn after the other."""
        for part in re.split(rb"(?=\r)", content):
            self.stream.feed(part)
            shown = [line.rstrip() for line in self.screen.display if line.strip()]
            if shown and shown[-1:] != self.last_lines[-1:]:
                self.last_lines.append(shown[-1])

    @property
    def lines(self) -> list[str]:
        """All lines, those that have left the screen included."""
        above = [
            "".join(line[column].data for column in range(self.screen.columns)) for line in self.screen.history.top
        ]
        return [line.rstrip() for line in (*above, *self.screen.display)]


def run_in(columns: int, words: list[str], **variables: str) -> tuple[int, Terminal]:
    """Run fit.py in a terminal; its exit status, and the terminal.

    Args:
        columns: of the terminal.
        words: of the command line.
        variables: of the environment.
    """
    import fcntl
    import pty
    import termios

    terminal, (ours, theirs) = Terminal(columns), pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = Forked(
        fit_as_program, words, out=os.ttyname(theirs), variables=inherited | {"TERM": "xterm-256color"} | variables
    )
    ended = False
    while not ended or select.select([ours], [], [], 0)[0]:
        if select.select([ours], [], [], 0.1)[0]:
            terminal.feed(os.read(ours, 65536))
        else:
            ended = process.poll() is not None
    for end in (ours, theirs):  # theirs until now, too: else what the process wrote last would be lost
        os.close(end)
    return process.wait(), terminal
