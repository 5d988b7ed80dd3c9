"""Collective operations of several processes that train together."""

import time
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, distributed, nn

from callbacks.private.torch import set_timeout
from datamodules.base import DataModule
from datamodules.errors import UnlikeDataError
from datamodules.storage.fingerprint import TIMES, described, hash_state
from lightning_modules.layers.later_weights import make_by
from lightning_modules.layers.shards import is_shard

_CPU_GROUP: list[Any] = []
UNLIMITED = timedelta(days=365)


def all_reduce_max(trainer: Trainer, *values: int) -> tuple[int, ...]:
    """The maximum of each value over all processes; a collective operation, on the CPU: no GPU is synchronised."""
    if trainer.world_size == 1:
        return values
    reduced = torch.tensor(values)
    distributed.all_reduce(reduced, distributed.ReduceOp.MAX, group=_cpu_group())
    return tuple(reduced.tolist())


def gathered(trainer: Trainer, value: Any) -> list[Any]:
    """What every process has, in the order of their ranks; in every process but the first nothing. Collective."""
    found: list[Any] | None = [None] * trainer.world_size if trainer.is_global_zero else None
    distributed.gather_object(value, found, dst=0, group=_cpu_group())
    return found or []


def _cpu_group() -> Any:
    if not _CPU_GROUP:
        _CPU_GROUP.append(distributed.new_group(backend="gloo", timeout=UNLIMITED))
    return _CPU_GROUP[0]


def check_same_data(trainer: Trainer, data: DataModule) -> None:
    """Compare the data of all processes: its examples, its splits and what was fitted to it; a collective operation.

    Modification times are not compared: every machine may have a copy of its own.

    Raises:
        UnlikeDataError: in every process, if they differ; the message says what differs in which.
    """
    if trainer.world_size == 1 or data.compared is data.fingerprint:
        return
    mine = {name: digest for name, digest in data.fingerprint.items() if name != TIMES}
    gathered: list[Any] = [None] * trainer.world_size
    distributed.all_gather_object(gathered, hash_state(mine), _cpu_group())
    if len(set(gathered)) == 1:
        data.compared = data.fingerprint
        return
    distributed.all_gather_object(gathered, mine, _cpu_group())
    unlike = [
        f"process {rank} has other data than process 0: {found}"
        for rank, theirs in enumerate(gathered)
        if (found := described(gathered[0], theirs, "process 0 has"))
    ]
    more = f"; and so have {len(unlike) - 3} more" if len(unlike) > 3 else ""
    raise UnlikeDataError(f"{data.dataset}: {'; '.join(unlike[:3])}{more}; expected the same files on every machine")


class DataConsistencyCheck(Callback):
    """Computes the fingerprint of the data before training, and compares it between processes."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Stop a run whose processes differ; later saves find the fingerprint computed."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, DataModule) and (stage == "fit" or trainer.world_size > 1):
            assert data.fingerprint, "the data has no fingerprint"
            check_same_data(trainer, data)


def disable_timeouts() -> None:
    """Disable the timeouts of collective operations: their clocks continue while a job is suspended."""
    if distributed.is_available() and distributed.is_initialized():
        set_timeout(UNLIMITED)


def wait_for_children(trainer: Trainer, seconds: int) -> None:
    """Wait for the end of the processes that this one has started, and kill those that do not end.

    Time in which this process could not run does not count.
    """
    children = getattr(trainer.strategy.launcher, "procs", [])
    for _ in range(10 * seconds):
        if all(process.poll() is not None for process in children):
            return
        time.sleep(0.1)
    for process in children:
        process.kill()
        process.wait()


class BroadcastBuffers(Callback):
    """Broadcasts the first process's buffers before a validation: each has batch statistics of its own.

    DDP would do so at every step, though no result of training depends on them.
    """

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Broadcast the buffers."""
        if trainer.world_size > 1:
            for buffer in pl_module.buffers():
                if buffer.is_floating_point():  # others count or are constant
                    distributed.broadcast(buffer, src=0)


def rewrap_ddp(trainer: Trainer) -> None:
    """Wrap the model again when other weights are trained: DDP waits for the gradients of those that it knows.

    A collective operation, between two steps.
    """
    strategy = trainer.strategy
    if isinstance(strategy, DDPStrategy):
        strategy.model = strategy.lightning_module
        strategy.configure_ddp()


def gather_full(state: Any, rank: int) -> Any:
    """A state with all shards of each sharded tensor gathered, in the first process; in others, None in its place.

    A collective operation.
    """

    def gathered(tensor: Tensor) -> Tensor | None:
        if not is_shard(tensor):
            return tensor
        whole = tensor.full_tensor()
        return whole.cpu() if rank == 0 else None

    return apply_to_collection(state, Tensor, gathered)


def shard_like(value: Tensor, weight: Tensor) -> Tensor:
    """A tensor of a weight's shape, sharded as the weight is."""
    if is_shard(value) or not is_shard(weight):
        return value.to(weight.device)
    from torch.distributed.tensor import distribute_tensor  # there are shards: it is imported

    value = value.to(weight.device_mesh.device_type)  # the weight may be on the device `meta`
    shard = distribute_tensor(value, weight.device_mesh, weight.placements, src_data_rank=None)
    return shard.clone()  # else the shard would be a view, which keeps all of the value in memory


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], strict: bool = True) -> None:
    """Give a model weights, one after the other: shards of them where it is sharded, later where they are made later.

    Raises:
        RuntimeError: a weight of either has none of its name in the other, where this is strict.
    """
    own = model.state_dict()
    if unlike := sorted(own.keys() ^ weights.keys()) if strict else []:
        where = "in what is loaded" if unlike[0] in own else "in the model"
        raise RuntimeError(f"{len(unlike)} weights differ in name: {unlike[0]} is missing {where}")
    with torch.no_grad():
        for name in own.keys() & weights.keys():
            if own[name].is_meta:
                make_by(model, name, partial(_whole, weights, name))
            else:
                own[name].copy_(shard_like(weights[name], own[name]))


def _whole(weights: Mapping[str, Tensor], name: str) -> Tensor:
    return weights[name].clone()  # what is given may be changed afterwards, or be in a file
