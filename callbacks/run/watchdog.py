"""Ends a run that hangs, with its stack traces."""

import os
import signal
import sys
import threading
import time
import traceback
from typing import Any

from lightning.pytorch import Callback, Trainer

from callbacks.run.processes import disable_timeouts, wait_for_children
from datamodules.loading.die_with_parent import LAUNCHER, is_stopped

STDERR = 2  # several processes may write at the same time: each has to write everything at once


class Watchdog(Callback):
    """Ends the process, with the stack traces of its threads, when no batch has been completed for a time.

    Only time in which the process could run counts, not that in which it was stopped or suspended, or its machine
    slept: short intervals are counted, whatever a clock says of their length.

    If one of several processes hangs, the others wait for it: so each prints its own stack traces at about that time.

    Args:
        seconds: without a batch, of training or evaluation.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.batches = 0
        self.watching = False

    def setup(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Start watching, in place of the timeouts of collective operations."""
        disable_timeouts()
        if not self.watching:
            self.watching = True
            threading.Thread(target=self.watch, args=(trainer,), daemon=True).start()

    def watch(self, trainer: Trainer) -> None:
        """End the process when no batch has been completed for `seconds`; returns when watching is stopped."""
        interval, idle, seen = min(1.0, self.seconds / 4), 0.0, self.batches
        while idle < self.seconds:
            time.sleep(interval)
            if not self.watching:
                return
            idle = idle + interval if seen == self.batches else 0.0
            seen = self.batches
        rank = trainer.global_rank
        message = (
            f"process {rank} has done nothing for {self.seconds:g} s; it is here:\n{stacks()}"
            f"error: process {rank} hung (--timeout sets how long is waited)\n"
        )
        os.write(STDERR, message.encode())
        end_others(trainer)
        os._exit(1)

    def _alive(self, *args: Any, **kwargs: Any) -> None:
        self.batches += 1

    on_train_batch_start = on_train_batch_end = _alive
    on_validation_batch_start = on_validation_batch_end = _alive
    on_test_batch_start = on_test_batch_end = _alive
    on_predict_batch_start = on_predict_batch_end = _alive

    def teardown(self, *args: Any, **kwargs: Any) -> None:
        """Stop watching."""
        self.watching = False

    def on_exception(self, *args: Any, **kwargs: Any) -> None:
        """Stop watching."""
        self.watching = False


def end_others(trainer: Trainer) -> None:
    """Let the processes that this one has started print their stack traces, before they end with it.

    The one that started this one is killed if it is stopped: it cannot notice that the others have ended.
    """
    wait_for_children(trainer, 5)
    launcher = int(os.environ.get(LAUNCHER, 0))
    if trainer.local_rank > 0 and launcher == os.getppid() and is_stopped(launcher):
        os.kill(launcher, signal.SIGKILL)


def stacks() -> str:
    """The stack trace of each thread, newest call first; without source lines, since it may be a disk that hangs."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    lines = []
    for ident, frame in sys._current_frames().items():
        lines.append(f"thread {names.get(ident, ident)}:")
        for caller, line in traceback.walk_stack(frame):
            lines.append(f'  File "{caller.f_code.co_filename}", line {line}, in {caller.f_code.co_name}')
    return "".join(f"{line}\n" for line in lines)
