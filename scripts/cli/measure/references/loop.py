"""The loop itself: batches, loss, gradient, optimizer and schedule; no logs, no validation, no checkpoints."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from lightning_modules.optim.schedules import schedule_factor
from lightning_modules.tasks.task import Task


def forever(loader: Iterable[Any]) -> Iterator[Any]:
    """The batches of epoch after epoch."""
    while True:
        yield from loader


def train(
    model: Task,
    network: nn.Module,
    loader: Iterable[Any],
    loss: Callable[[Any], Tensor],
    total: int,
    clip: float | None = None,
) -> Iterator[Any]:
    """Train a network; a batch is yielded after each step.

    Args:
        model: whose optimizer and schedule are used.
        network: it, or another one.
        loader: of an epoch's batches.
        loss: of a batch.
        total: steps of the schedule.
        clip: the gradient's norm.
    """
    assert model.optimizer is not None
    optimizer: Any = model.optimizer(network.parameters())
    schedule = LambdaLR(optimizer, schedule_factor(model.schedule, total, model.warmup, model.final_rate))
    network.train()
    for batch in forever(loader):
        optimizer.zero_grad()
        loss(batch).backward()
        if clip:
            nn.utils.clip_grad_norm_(network.parameters(), clip)
        optimizer.step()
        schedule.step()
        yield batch
