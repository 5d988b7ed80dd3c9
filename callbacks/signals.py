"""Signals that ask a run to end: noted when they come, obeyed when a step is over."""

import os
import signal
from types import FrameType
from typing import Any

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
GRACE = 60  # seconds that a process which loads data outlives a SIGTERM, so that the training process can save


class Stopped(BaseException):
    """A run was asked to end, has saved what it has to save, and ends.

    Args:
        number: of the signal.
        step: training steps done.
    """

    def __init__(self, number: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name} after step {step}")
        self.number = number

    @property
    def status(self) -> int:
        """The exit status that a shell gives to what this signal ended."""
        return 128 + self.number


class Signals:
    """Takes note of the first signal; the second ends the process at once, as if nobody had minded it.

    Nothing is saved inside a handler: it may have interrupted a save.
    """

    def __init__(self) -> None:
        self.number = 0
        self.process = os.getpid()
        self.before: dict[int, Any] = {}

    def install(self) -> None:
        """Mind the signals, instead of whoever minded them before."""
        for number in STOPPING:
            before = signal.signal(number, self._note)
            self.before.setdefault(number, before)

    def uninstall(self) -> None:
        """Leave the signals to whoever minded them before."""
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if (
            os.getpid() != self.process
        ):  # one that loads data, and was forked with this handler: it ends with its parent
            if number == signal.SIGTERM:
                signal.alarm(GRACE)
            return
        if self.number:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.number = number
