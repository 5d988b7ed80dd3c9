"""Callbacks that do to a run what happens to runs; named on the command line of real processes by test_stops.py."""

import os
import signal
import time
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer


class Misbehaving(Callback):
    """Does something once, when so many steps are done.

    Args:
        step: steps done.
        rank: of the process that does it.
    """

    def __init__(self, step: int = 5, rank: int = 0) -> None:
        self.step = step
        self.rank = rank

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        if trainer.global_step == self.step and trainer.global_rank == self.rank:
            self.misbehave()

    def misbehave(self) -> None:
        raise NotImplementedError


class Hangs(Misbehaving):
    """Waits for ever."""

    def misbehave(self) -> None:
        time.sleep(1000)


class Raises(Misbehaving):
    """Fails."""

    def misbehave(self) -> None:
        raise RuntimeError("this is the cause")


class RunsOut(Misbehaving):
    """Has no memory left."""

    def misbehave(self) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nAnd much more is said.")


class DiesOnce(Misbehaving):
    """Is killed, the first time that torchrun starts it; never without torchrun."""

    def misbehave(self) -> None:
        if os.environ.get("TORCHELASTIC_RESTART_COUNT") == "0":
            os.kill(os.getpid(), signal.SIGKILL)


class Slow(Callback):
    """Takes its time for each batch.

    Args:
        seconds: for a training batch.
        validation: seconds for a validation batch.
    """

    def __init__(self, seconds: float = 0.1, validation: float = 0.0) -> None:
        self.seconds = seconds
        self.validation = validation

    def on_train_batch_end(self, *args: Any) -> None:
        time.sleep(self.seconds)

    def on_validation_batch_end(self, trainer: Trainer, *args: Any) -> None:
        print("validating", flush=True)
        time.sleep(self.validation)
