"""What several processes that train together agree on, and share out."""

import time
from datetime import timedelta
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, distributed
from torch.distributed.tensor import DTensor, distribute_tensor

from callbacks.private.torch import set_timeout
from datamodules.base import DataModule
from datamodules.errors import UnlikeDataError
from datamodules.storage.fingerprint import TIMES, described, hash_state

_CPU_GROUP: list[Any] = []
UNLIMITED = timedelta(days=365)


def all_reduce_max(trainer: Trainer, *numbers: int) -> tuple[int, ...]:
    """The greatest of each number over all processes, which all call this.

    It goes over the network as it is: a GPU need not be waited for.
    """
    if trainer.world_size == 1:
        return numbers
    together = torch.tensor(numbers)
    distributed.all_reduce(together, distributed.ReduceOp.MAX, group=_cpu_group())
    return tuple(together.tolist())


def _cpu_group() -> Any:
    if not _CPU_GROUP:
        _CPU_GROUP.append(distributed.new_group(backend="gloo", timeout=UNLIMITED))
    return _CPU_GROUP[0]


def same_data(trainer: Trainer, data: DataModule) -> None:
    """Compare what all processes have read, how it is split and what was learned from it; they all call this.

    When files were modified is not compared: every machine may have a copy of its own.

    Raises:
        UnlikeDataError: it is not the same, in every process; the message says what differs in which.
    """
    if trainer.world_size == 1:
        return
    mine = {name: digest for name, digest in data.fingerprint.items() if name != TIMES}
    together: list[Any] = [None] * trainer.world_size
    distributed.all_gather_object(together, hash_state(mine), _cpu_group())
    if len(set(together)) == 1:
        return
    distributed.all_gather_object(together, mine, _cpu_group())
    unlike = [
        f"process {rank} has other data than process 0: {found}"
        for rank, theirs in enumerate(together)
        if (found := described(together[0], theirs, "process 0 has"))
    ]
    more = f"; and so have {len(unlike) - 3} more" if len(unlike) > 3 else ""
    raise UnlikeDataError(f"{data.dataset}: {'; '.join(unlike[:3])}{more}; expected the same files on every machine")


class SameData(Callback):
    """Takes the fingerprint of the data before anything is trained, and has several processes compare theirs."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Stop a run whose processes disagree; later saves find the fingerprint made."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, DataModule) and (stage == "fit" or trainer.world_size > 1):
            assert data.fingerprint, "nothing is known of the data"
            same_data(trainer, data)


def outlast_pauses() -> None:
    """Let no exchange between processes time out: those are of clocks that go on while a job is suspended."""
    if distributed.is_available() and distributed.is_initialized():
        set_timeout(UNLIMITED)


def wait_for_started(trainer: Trainer, seconds: int) -> None:
    """Wait for the end of the processes that this one has started, and kill those that do not end.

    Time in which this process could not run does not count.
    """
    started = getattr(trainer.strategy.launcher, "procs", [])
    for _ in range(10 * seconds):
        if all(process.poll() is not None for process in started):
            return
        time.sleep(0.1)
    for process in started:
        process.kill()
        process.wait()


class SameBuffers(Callback):
    """Gives every process the first one's buffers before a validation: each would judge by its own batch statistics.

    That is once a validation; in training no result depends on them.
    """

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hand them out."""
        if trainer.world_size > 1:
            for buffer in pl_module.buffers():
                if buffer.is_floating_point():  # others count or are constant
                    distributed.broadcast(buffer, src=0)


def wrap_anew(trainer: Trainer) -> None:
    """Let DDP know that other weights are trained from now on: it waits for the gradients of those it has seen.

    All processes call this, between two steps.
    """
    strategy = trainer.strategy
    if isinstance(strategy, DDPStrategy):
        strategy.model = strategy.lightning_module
        strategy.configure_ddp()


def whole(state: Any, rank: int) -> Any:
    """A state with all of each tensor of which every process keeps a part; every process has to ask.

    In the first process, that is: the others' memory is not for it, and they get None.
    """

    def gathered(part: DTensor) -> Tensor | None:
        tensor = part.full_tensor()
        return tensor.cpu() if rank == 0 else None

    return apply_to_collection(state, DTensor, gathered)


def part(value: Tensor, weight: Tensor) -> Tensor:
    """This process's part of a tensor that is kept for each number of a weight; all of it, if the weight is whole."""
    value = value.to(weight.device)
    if isinstance(value, DTensor) or not isinstance(weight, DTensor):
        return value
    return distribute_tensor(value, weight.device_mesh, weight.placements, src_data_rank=None)
