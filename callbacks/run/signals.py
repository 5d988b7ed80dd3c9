"""Signals that ask a run to end: noted when they come, obeyed when a step is over."""

import os
import signal
from types import FrameType
from typing import Any

from lightning.pytorch import Callback

HANGUP = getattr(signal, "SIGHUP", None)  # the terminal is gone; unknown to Windows
STOPPING = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2", "SIGHUP") if hasattr(signal, name)
)
GRACE = 60  # seconds that a process which loads data outlives a SIGTERM, so that the training process can save


class Stopped(BaseException):
    """A run was asked to end, has saved what it has to save, and ends.

    Args:
        number: of the signal.
        step: training steps done.
    """

    def __init__(self, number: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name} after step {step}")
        self.received = number

    @property
    def status(self) -> int:
        """The exit status that a shell gives to what this signal ended."""
        return 128 + self.received


class Signals:
    """Takes note of the first signal; the second ends the process at once, as if none were handled.

    Nothing is saved inside a handler: it may have interrupted a save.
    """

    def __init__(self) -> None:
        self.received = 0
        self.process = os.getpid()
        self.before: dict[int, Any] = {}
        self.terminals: list[int] = []  # of stdout and stderr, those that go to one

    def install(self) -> None:
        """Handle the signals in place of earlier handlers; a lost terminal that nohup has ignored stays ignored."""
        self.terminals = self.terminals or [output for output in (1, 2) if _is_terminal(output)]
        for number in STOPPING:
            if number == HANGUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            before = signal.signal(number, self._note)
            self.before.setdefault(number, before)

    def uninstall(self) -> None:
        """Restore the earlier handlers."""
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if (
            os.getpid() != self.process
        ):  # one that loads data, and was forked with this handler: it ends with its parent
            if number == signal.SIGTERM:
                signal.alarm(GRACE)
            return
        if number == HANGUP:
            self._forget_terminals()
            if self.received:  # the system and the shell may both say that a terminal is gone
                return
        if self.received:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.received = number

    def _forget_terminals(self) -> None:
        """Write to nowhere what would go to a terminal that is gone: the next line would be an error."""
        for output in self.terminals:
            if not _is_terminal(output):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, output)
                os.close(nowhere)


class HandleSignals(Callback):
    """Handles signals from the first moment of a run to its last; Lightning's own handlers would end it otherwise.

    Args:
        signals: to handle.
    """

    def __init__(self, signals: Signals) -> None:
        self.signals = signals

    def _install(self, *args: Any, **kwargs: Any) -> None:
        self.signals.install()

    setup = on_sanity_check_start = on_train_start = on_test_start = _install


def _is_terminal(output: int) -> bool:
    try:
        return os.isatty(output)
    except OSError:
        return False
