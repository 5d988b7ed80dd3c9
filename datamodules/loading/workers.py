"""Processes that load batches, each begun anew if it hangs before it has begun, and none left when a run is killed.

A forked process inherits every lock as it stands, and one that another thread holds at that moment is never released.
Python before 3.11.10 takes such a lock at once (CPython's issue 112275); gloo's threads hold it now and then when
several processes train. One in some thousand forked processes hung, and the run with it.
"""

import os
import signal
import threading
from multiprocessing import connection, get_start_method, popen_fork
from typing import Any

from datamodules.loading.die_with_parent import end_with

try:
    from multiprocessing.context import ForkContext, ForkProcess
except ImportError:  # Windows, where nothing is forked: see `workers`
    ForkContext = ForkProcess = object  # type: ignore[misc,assignment]

PATIENCE = 20.0  # seconds; a process begins in milliseconds, and one that is taken for hung is merely begun again
ATTEMPTS = 3


class Fork(popen_fork.Popen):
    """A fork that is known to have begun, or else is made again."""

    def _launch(self, process_obj: Any) -> None:
        process_obj.parent = os.getpid()
        process_obj.of_main_thread = threading.current_thread() is threading.main_thread()
        for _ in range(ATTEMPTS):
            reading, writing = os.pipe()
            process_obj.begun = writing
            super()._launch(process_obj)  # type: ignore[misc]
            os.close(writing)  # so that a process which dies is no longer waited for
            begun = connection.wait([reading], PATIENCE)
            os.close(reading)
            if begun:
                return
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.close()
        raise RuntimeError(f"a process that loads data hung at its start, {ATTEMPTS} times in a row")


class Worker(ForkProcess):
    """A process that says when it has begun."""

    begun: int  # end of a pipe
    parent: int
    of_main_thread: bool  # another one may end long before its process

    @staticmethod
    def _Popen(process_obj: Any) -> Fork:  # noqa: N802 (multiprocessing's name)
        return Fork(process_obj)

    def run(self) -> None:
        """Say it, and do what a process does."""
        if self.of_main_thread:
            end_with(self.parent)
        os.write(self.begun, b"1")
        os.close(self.begun)
        super().run()


class Workers(ForkContext):
    """What a `DataLoader` takes as its `multiprocessing_context`."""

    Process = Worker


def workers(number: int) -> Workers | None:
    """The context for so many processes that load batches; None where there are none, or they are not forked."""
    return Workers() if number and get_start_method() == "fork" else None
