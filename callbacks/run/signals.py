"""Signals that request a run to end: recorded when they arrive, handled between two steps."""

import os
import signal
from types import FrameType
from typing import Any

from lightning.pytorch import Callback

HANGUP = getattr(signal, "SIGHUP", None)  # the terminal is gone; unknown to Windows
STOPPING = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2", "SIGHUP") if hasattr(signal, name)
)
GRACE = 60  # seconds that a data loading worker outlives a SIGTERM, so that the training process can save


class Stopped(BaseException):
    """A run was requested to end, has saved its state, and ends.

    Args:
        received: the signal.
        step: completed training steps.
    """

    def __init__(self, received: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(received).name} after step {step}")
        self.received = received

    @property
    def status(self) -> int:
        """The exit status by which shells report the signal."""
        return 128 + self.received


class Signals:
    """Records the first signal; the second ends the process at once, as if it were not handled.

    Nothing is saved inside a handler: it may have interrupted a save.
    """

    def __init__(self) -> None:
        self.received = 0
        self.process = os.getpid()
        self.before: dict[int, Any] = {}
        self.terminals: list[int] = []  # stdout and stderr, if they are terminals

    def install(self) -> None:
        """Install the handlers; a SIGHUP that nohup ignores stays ignored."""
        self.terminals = self.terminals or [output for output in (1, 2) if _is_terminal(output)]
        for signum in STOPPING:
            if signum == HANGUP and signal.getsignal(signum) == signal.SIG_IGN:
                continue
            before = signal.signal(signum, self._record)
            self.before.setdefault(signum, before)

    def uninstall(self) -> None:
        """Restore the earlier handlers; after a SIGHUP, the second that the system or the shell may send is ignored."""
        for signum, handler in self.before.items():
            signal.signal(signum, signal.SIG_IGN if self.received == signum == HANGUP else handler)

    def _record(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() != self.process:  # a data loading worker, forked with this handler, which ends with its parent
            if signum == signal.SIGTERM:
                signal.alarm(GRACE)
            return
        if signum == HANGUP:
            self._forget_terminals()
            if self.received:  # the system and the shell may both send it
                return
        if self.received:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
        self.received = signum

    def _forget_terminals(self) -> None:
        """Redirect output to a closed terminal to the null device: writing it would be an error."""
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
