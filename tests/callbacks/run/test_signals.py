import os
import signal
from collections.abc import Iterator

import pytest

from callbacks.run.signals import Signals

pytestmark = pytest.mark.needs("SIGHUP")


@pytest.fixture
def hangup() -> Iterator[None]:
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangup")
def test_a_lost_connection_is_noted_and_said_twice_is_no_second_signal() -> None:
    signals = Signals()
    signals.install()
    try:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGHUP)
        assert signals.received == signal.SIGHUP
    finally:
        signals.uninstall()


@pytest.mark.usefixtures("hangup")
def test_a_lost_connection_that_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    signals = Signals()
    signals.install()
    try:
        os.kill(os.getpid(), signal.SIGHUP)
        assert signals.received == 0
    finally:
        signals.uninstall()
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


@pytest.mark.usefixtures("hangup")
def test_what_goes_to_a_terminal_that_is_gone_goes_nowhere() -> None:
    ours, theirs = os.openpty()
    signals = Signals()
    signals.install()
    try:
        signals.terminals = [theirs]
        os.kill(os.getpid(), signal.SIGHUP)
        assert os.isatty(theirs)  # somebody sent the signal by hand
        os.close(ours)
        os.kill(os.getpid(), signal.SIGHUP)
        assert os.write(theirs, b"a line") == 6
    finally:
        signals.uninstall()
        os.close(theirs)


@pytest.mark.usefixtures("hangup")
def test_a_second_sighup_after_the_run_has_ended_is_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signals = Signals()
    signals.install()
    os.kill(os.getpid(), signal.SIGHUP)
    signals.uninstall()
    assert signals.received == signal.SIGHUP
    os.kill(os.getpid(), signal.SIGHUP)  # by default it would end this process
