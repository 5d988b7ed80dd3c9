"""Processes that load batches: each is restarted if it hangs at its start, and none outlives a run that is killed.

A forked process inherits every lock in its current state, and one that another thread holds at that moment is never
released. Python before 3.11.10 acquires such a lock at once (CPython's issue 112275); gloo's threads sometimes hold it
when several processes train. One in some thousand forked processes hung, and the run with it.

This is the only file that uses private parts of multiprocessing: `Popen._launch` and `Process._Popen`, as a start can
be repeated nowhere else, and `Queue._on_queue_feeder_error`. Its tests fail if they change.
"""

import os
import signal
import sys
import threading
from multiprocessing import connection, get_start_method, popen_fork, queues
from types import TracebackType
from typing import Any

import torch
from numpy import ndarray
from torch import Tensor
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
        sys.excepthook = _tell
        super().run()


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print what went wrong in a process that loads batches, unless only the one that receives them has gone.

    That one says itself why, such as that a signal or another such process interrupted it while it took a batch; the
    thread of multiprocessing that hands batches over would print a traceback above it.
    """
    if not isinstance(error, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, trace)


class Numbered(queues.Queue):  # type: ignore[type-arg]  # no subscript when it runs
    """A queue of numbered indices or batches, which has the error in place of a batch that could not be sent.

    By default the process prints it and goes on, and the batch is waited for in vain: shared memory may be full.

    Indices are sent by value. In shared memory they would be handed over by a thread of this process, which prints a
    traceback where the process that loads data is killed meanwhile; and a batch would take three times as long.
    """

    def __init__(self, maxsize: int, ctx: Any) -> None:
        super().__init__(maxsize, ctx=ctx)
        self.creator = os.getpid()

    def put(self, obj: Any, block: bool = True, timeout: float | None = None) -> None:
        """Append it: what the creator appends are indices."""
        if os.getpid() == self.creator and isinstance(obj, tuple) and isinstance(obj[1], Tensor):
            obj = (obj[0], obj[1].numpy())
        super().put(obj, block, timeout)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the first: what is not for the creator are indices."""
        taken = super().get(block, timeout)
        if os.getpid() != self.creator and isinstance(taken, tuple) and isinstance(taken[1], ndarray):
            taken = (taken[0], torch.from_numpy(taken[1]))
        return taken

    def _on_queue_feeder_error(self, e: Exception, obj: Any) -> None:
        self.put((obj[0], ExceptionWrapper(where="in a process that loads data")))


class Workers(ForkContext):
    """The `multiprocessing_context` of a `DataLoader`."""

    Process = Worker

    def Queue(self, maxsize: int = 0) -> Numbered:  # noqa: N802 (multiprocessing's name)
        """A queue that loses nothing."""
        return Numbered(maxsize, ctx=self)


def workers(num_workers: int) -> Workers | None:
    """The context of the processes that load batches; None without any, or where they cannot be forked.

    They are forked on Linux with every version of Python. Since 3.14 its default is a server that forks; a process of
    that one imports torch and receives all examples in memory before it loads the first batch.
    """
    return Workers() if num_workers and get_start_method() != "spawn" else None


def num_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
