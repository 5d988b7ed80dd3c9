"""Logs the gradient's norm, and what training takes: examples and tokens a second, memory."""

import math
from typing import Any

import psutil
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from callbacks.loggers.logger import loggers_of
from callbacks.private.lightning import logged_step
from callbacks.private.torch import unscales
from callbacks.run.device_peak import peak_of
from callbacks.run.throughput import Throughput
from lightning_modules.layers.shards import is_shard
from lightning_modules.tasks.task import Task


class TrainingMonitor(Callback):
    """Logs, at the logging interval, `train/gradient_norm` as scalar, and as usage `machine/…`.

    The norm is the Euclidean one over all parameters, before clipping, of the gradient as the optimizer's step uses it:
    of all accumulated batches and all processes. The rates are those since the last point, validation not counted.
    Memory is that of the first process, in gigabytes: resident on the host, and on a GPU the peak of its tensors.

    Args:
        throughput: counts examples and tokens; before this one among the callbacks.
    """

    def __init__(self, throughput: Throughput) -> None:
        self.throughput = throughput
        self._norms: dict[Optimizer, Tensor] = {}  # of the step, which may be one of several optimizers
        self._counted: tuple[float, float, Tensor | int] = (0.0, 0.0, 0)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start counting, of a resumed run from what it has."""
        self._counted = self._count()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Compute the norm of the gradient of the optimizer's parameters, if it is to be logged."""
        if (logged_step(trainer) + 1) % trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        if isinstance(pl_module, Task):
            pl_module.scale_accumulated()  # before the module's own hook, which comes after this one
        norm = gradient_norm(optimizer)
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        if scaler is not None and unscales(optimizer):
            norm = norm / scaler.get_scale()
        self._norms[optimizer] = norm  # the newest, where a step evaluates the loss several times

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log, after a step of which there is a norm."""
        if not self._norms:
            return
        norms, self._norms = [*self._norms.values()], {}
        before, self._counted = self._counted, self._count()
        step, destinations = logged_step(trainer), loggers_of(trainer)
        if not destinations:  # as in every process but the first
            return
        norm = {"train/gradient_norm": math.hypot(*map(float, norms))}
        usage = {**rates(before, self._counted, trainer.world_size), **memory(trainer.strategy.root_device)}
        usage |= compute(usage.get("tokens_per_second"), pl_module, trainer)
        for logger in destinations:
            logger.log_metrics(norm, step)
            logger.log_usage({f"machine/{name}": value for name, value in usage.items()}, step)

    def _count(self) -> tuple[float, float, Tensor | int]:
        return self.throughput.batch_seconds, self.throughput.examples, self.throughput.tokens


def gradient_norm(optimizer: Optimizer) -> Tensor:
    """The Euclidean norm of the gradient of all of an optimizer's parameters; of shards, that of the whole."""
    parameters = (parameter for group in optimizer.param_groups for parameter in group["params"])
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = get_total_norm([each.coalesce().values() if each.is_sparse else each for each in gradients])
    return norm.full_tensor() if is_shard(norm) else norm


def rates(
    before: tuple[float, float, Tensor | int], now: tuple[float, float, Tensor | int], processes: int
) -> dict[str, float]:
    """Examples a second, and of texts tokens a second, between two counts of seconds, examples and tokens.

    Args:
        before: the earlier count.
        now: the later one.
        processes: that train on as many tokens each.
    """
    seconds = now[0] - before[0]
    if seconds <= 0:
        return {}
    tokens = float(now[2] - before[2])
    found = {"examples_per_second": (now[1] - before[1]) / seconds}
    return found | ({"tokens_per_second": processes * tokens / seconds} if tokens else {})


def compute(tokens_per_second: float | None, model: LightningModule, trainer: Trainer) -> dict[str, float]:
    """How many floating-point operations the weights take a second, and the share of what the devices can, if known."""
    flops = model.flops_per_token() if isinstance(model, Task) else None
    if flops is None or tokens_per_second is None:
        return {}
    found = {"flops_per_second": flops * tokens_per_second}
    peak = peak_of(trainer.strategy.root_device, str(trainer.precision))
    if peak is not None:
        found["peak_share"] = found["flops_per_second"] / (peak * trainer.world_size)
    return found


def memory(device: torch.device) -> dict[str, float]:
    """The memory of this process, and of its tensors on the device, in gigabytes."""
    found = {"host_memory_gb": psutil.Process().memory_info().rss / 1e9}
    if device.type == "cuda":
        found["device_memory_gb"] = torch.cuda.max_memory_allocated(device) / 1e9
    elif device.type == "mps":  # which counts no peak
        found["device_memory_gb"] = torch.mps.current_allocated_memory() / 1e9
    return found
