"""Ends a run that hangs, and says where."""

import os
import sys
import threading
import time
import traceback
from typing import Any

from lightning.pytorch import Callback, Trainer

STDERR = 2  # where several processes speak at the same time: each has to say all at once


class Watchdog(Callback):
    """Ends the process, with the stacks of its threads, when no batch has been done for a while.

    Where one process of several hangs, the others wait for it: so each shows its own stack at about the same time.

    Args:
        seconds: without a batch of any kind.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.seen: float | None = None  # None while nothing is expected

    def setup(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Begin to watch."""
        if self.seen is None:
            self.seen = time.monotonic()
            threading.Thread(target=self._watch, args=(trainer.global_rank,), daemon=True).start()

    def _watch(self, rank: int) -> None:
        while self.seen is not None:
            time.sleep(min(1.0, self.seconds / 4))
            if self.seen is not None and time.monotonic() - self.seen > self.seconds:
                said = (
                    f"process {rank} has done nothing for {self.seconds:g} s; it is here:\n{stacks()}"
                    f"error: process {rank} hung (--timeout sets how long is waited)\n"
                )
                os.write(STDERR, said.encode())
                os._exit(1)

    def _alive(self, *args: Any, **kwargs: Any) -> None:
        self.seen = time.monotonic()

    on_train_batch_start = on_train_batch_end = _alive
    on_validation_batch_start = on_validation_batch_end = _alive
    on_test_batch_start = on_test_batch_end = _alive
    on_predict_batch_start = on_predict_batch_end = _alive

    def teardown(self, *args: Any, **kwargs: Any) -> None:
        """Watch no more."""
        self.seen = None

    def on_exception(self, *args: Any, **kwargs: Any) -> None:
        """Watch no more."""
        self.seen = None


def stacks() -> str:
    """Where each thread is, newest call first; without the lines themselves, since a disk may be what hangs."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    lines = []
    for ident, frame in sys._current_frames().items():
        lines.append(f"thread {names.get(ident, ident)}:")
        for caller, number in traceback.walk_stack(frame):
            lines.append(f'  File "{caller.f_code.co_filename}", line {number}, in {caller.f_code.co_name}')
    return "".join(f"{line}\n" for line in lines)
