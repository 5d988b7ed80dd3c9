"""Carries out command lines in turn; one process of two, which test_processes.py starts."""

import signal

from tests.helpers.stopping import train


def main(lines: list[tuple[list[str], int | None]]) -> None:
    """Carry them out.

    Args:
        lines: the words of each, and the number of steps after which the run is stopped, or None.
    """
    for words, stop in lines:
        status = train(words, stop)
        assert status == (0 if stop is None else 128 + signal.SIGTERM), (status, words)
