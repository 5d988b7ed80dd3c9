"""Processes that load batches: each is restarted if it hangs at its start, and none outlives a run that is killed.

A forked process inherits every lock in its current state, and one that another thread holds at that moment is never
released. Python before 3.11.10 acquires such a lock at once (CPython's issue 112275); gloo's threads sometimes hold it
when several processes train. One in some thousand forked processes hung, and the run with it.

This is the only file that uses private parts of multiprocessing: `Popen._launch` and `Process._Popen`, as a start can
be repeated nowhere else, and `Queue._on_queue_feeder_error`. Its tests fail if they change.
"""

import os
import signal
import threading
from multiprocessing import connection, get_start_method, popen_fork, queues
from typing import Any

from torch._utils import ExceptionWrapper

from datamodules.loading.die_with_parent import end_with

try:
    from multiprocessing.context import ForkContext, ForkProcess
except ImportError:  # Windows, where nothing is forked: see `workers`
    ForkContext = ForkProcess = object  # type: ignore[misc,assignment]

PATIENCE = 20.0  # seconds; a process starts in milliseconds, and one wrongly taken for hung is merely restarted
ATTEMPTS = 3


class Fork(popen_fork.Popen):
    """A fork that is restarted unless it reports its start."""

    def _launch(self, process_obj: Any) -> None:
        process_obj.parent = os.getpid()
        process_obj.of_main_thread = threading.current_thread() is threading.main_thread()
        for _ in range(ATTEMPTS):
            reading, writing = os.pipe()
            process_obj.begun = writing
            super()._launch(process_obj)  # type: ignore[misc]
            os.close(writing)  # so that a process which dies is not waited for
            begun = connection.wait([reading], PATIENCE)
            os.close(reading)
            if begun:
                return
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.close()
        raise RuntimeError(f"a process that loads data hung at its start, {ATTEMPTS} times in a row")


class Worker(ForkProcess):
    """A process that reports its start."""

    begun: int  # file descriptor of a pipe
    parent: int
    of_main_thread: bool  # another thread may end long before its process

    @staticmethod
    def _Popen(process_obj: Any) -> Fork:  # noqa: N802 (multiprocessing's name)
        return Fork(process_obj)

    def run(self) -> None:
        """Report the start, then run."""
        if self.of_main_thread:
            end_with(self.parent)
        os.write(self.begun, b"1")
        os.close(self.begun)
        super().run()


class Results(queues.Queue):  # type: ignore[type-arg]  # no subscript when it runs
    """A queue of numbered batches, which has the error in place of one that could not be sent.

    By default the process prints it and goes on, and the batch is waited for in vain: shared memory may be full.
    """

    def _on_queue_feeder_error(self, e: Exception, obj: Any) -> None:
        self.put((obj[0], ExceptionWrapper(where="in a process that loads data")))


class Workers(ForkContext):
    """The `multiprocessing_context` of a `DataLoader`."""

    Process = Worker

    def Queue(self, maxsize: int = 0) -> Results:  # noqa: N802 (multiprocessing's name)
        """A queue that loses nothing."""
        return Results(maxsize, ctx=self)


def workers(num_workers: int) -> Workers | None:
    """The context of the processes that load batches; None without any, or where they are not forked."""
    return Workers() if num_workers and get_start_method() == "fork" else None


def num_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
