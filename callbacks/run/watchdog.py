"""Ends a run that hangs, and says where."""

import os
import signal
import sys
import threading
import time
import traceback
from typing import Any

from lightning.pytorch import Callback, Trainer

from callbacks.run.processes import outlast_pauses, wait_for_started
from datamodules.loading.die_with_parent import LAUNCHER, is_stopped

STDERR = 2  # where several processes speak at the same time: each has to say all at once


class Watchdog(Callback):
    """Ends the process, with the stacks of its threads, when no batch has been done for a while.

    Only time in which the process could run counts, not that in which it was stopped or suspended, or its machine
    slept: it looks at short intervals, and counts those, whatever a clock says of them.

    Where one process of several hangs, the others wait for it: so each shows its own stack at about the same time.

    Args:
        seconds: without a batch of any type.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.batches = 0
        self.watching = False

    def setup(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Begin to watch, instead of the time-outs of what joins several processes."""
        outlast_pauses()
        if not self.watching:
            self.watching = True
            threading.Thread(target=self._watch, args=(trainer,), daemon=True).start()

    def _watch(self, trainer: Trainer) -> None:
        interval, idle, seen = min(1.0, self.seconds / 4), 0.0, self.batches
        while idle < self.seconds:
            time.sleep(interval)
            if not self.watching:
                return
            idle = idle + interval if seen == self.batches else 0.0
            seen = self.batches
        rank = trainer.global_rank
        said = (
            f"process {rank} has done nothing for {self.seconds:g} s; it is here:\n{stacks()}"
            f"error: process {rank} hung (--timeout sets how long is waited)\n"
        )
        os.write(STDERR, said.encode())
        end_others(trainer)
        os._exit(1)

    def _alive(self, *args: Any, **kwargs: Any) -> None:
        self.batches += 1

    on_train_batch_start = on_train_batch_end = _alive
    on_validation_batch_start = on_validation_batch_end = _alive
    on_test_batch_start = on_test_batch_end = _alive
    on_predict_batch_start = on_predict_batch_end = _alive

    def teardown(self, *args: Any, **kwargs: Any) -> None:
        """Watch no more."""
        self.watching = False

    def on_exception(self, *args: Any, **kwargs: Any) -> None:
        """Watch no more."""
        self.watching = False


def end_others(trainer: Trainer) -> None:
    """Let the processes that this one has started say where they hang, before they end with it.

    The one that started this one is killed if it is stopped: it cannot see that the others are gone.
    """
    wait_for_started(trainer, 5)
    launcher = int(os.environ.get(LAUNCHER, 0))
    if trainer.local_rank > 0 and launcher == os.getppid() and is_stopped(launcher):
        os.kill(launcher, signal.SIGKILL)


def stacks() -> str:
    """Where each thread is, newest call first; without the lines themselves, since a disk may be what hangs."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    lines = []
    for ident, frame in sys._current_frames().items():
        lines.append(f"thread {names.get(ident, ident)}:")
        for caller, number in traceback.walk_stack(frame):
            lines.append(f'  File "{caller.f_code.co_filename}", line {number}, in {caller.f_code.co_name}')
    return "".join(f"{line}\n" for line in lines)
