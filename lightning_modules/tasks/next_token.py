"""Cross-entropy of the next token, without the logits of a whole batch in memory at once."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from datamodules.tokenizing.packed import IGNORED

MAX_LOGITS = 2**24  # in memory at once


def summed_nats(states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """The sum of the cross-entropies of all targets, in nats; its gradient is computed with it, chunk by chunk.

    So the head's weights are multiplied once for the loss and twice for the gradient, as with all logits in memory.

    Args:
        states: (N, D) of the last layer.
        weight: (V, D) of the head.
        targets: (N,) tokens; IGNORED where none counts.
    """
    nats: Tensor = _SummedNats.apply(states, weight, targets)
    return nats


@torch.no_grad()
def nats_of_tokens(states: Tensor, weight: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The cross-entropy of each target in nats, and whether it is the most probable token; 0 where none counts.

    Args:
        states: (N, D) of the last layer.
        weight: (V, D) of the head.
        targets: (N,) tokens; IGNORED where none counts.
    """
    nats, right = [], []
    for part, target in _chunks(weight, states, targets):
        logits = F.linear(part, weight).float()
        nats.append(F.cross_entropy(logits, target, ignore_index=IGNORED, reduction="none"))
        right.append(logits.argmax(-1) == target)
    return torch.cat(nats), torch.cat(right)


def nats_of_rows(states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """The sum of the cross-entropies of each row's targets in nats, (B,), whose gradients may differ.

    What a chunk needs is computed again for the gradient, so that its logits need not be kept.

    Args:
        states: (B, T, D) of the last layer.
        weight: (V, D) of the head.
        targets: (B, T) tokens; IGNORED where none counts.
    """
    parts = [
        checkpoint(_nats, part, weight, target, use_reentrant=False)
        for part, target in _chunks(weight, states.flatten(0, 1), targets.flatten())
    ]
    return torch.cat(parts).view_as(targets).sum(1)


def _nats(states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(states, weight).float(), targets, ignore_index=IGNORED, reduction="none")


def _chunks(weight: Tensor, *rows: Tensor) -> list[tuple[Tensor, ...]]:
    """Rows, as many at a time as have MAX_LOGITS together."""
    size = max(MAX_LOGITS // len(weight), 1)
    return list(zip(*(each.split(size) for each in rows), strict=True))


class _SummedNats(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        device = states.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        total, of_states, of_weight = states.new_zeros((), dtype=torch.float), torch.empty_like(states), None
        needs_states, needs_weight = ctx.needs_input_grad[:2]
        matrix = weight.to(dtype)
        with torch.autocast(device, enabled=False):
            for part, target, gradient in _chunks(weight, states.to(dtype), targets, of_states):
                logits = F.linear(part, matrix).float()  # (n, V)
                counted = target != IGNORED
                place = target.where(counted, 0)[:, None]
                normaliser = logits.logsumexp(1, keepdim=True)
                total += (normaliser - logits.gather(1, place))[:, 0].where(counted, 0).sum()
                if not needs_states and not needs_weight:
                    continue
                slope = logits.sub_(normaliser).exp_()  # the probabilities, less 1 at the target
                slope.scatter_add_(1, place, slope.new_full((), -1.0).expand_as(place))
                slope = slope.mul_(counted[:, None]).to(dtype)
                gradient.copy_(slope @ matrix)
                if needs_weight and of_weight is None:
                    of_weight = (slope.T @ part).to(weight.dtype)
                elif of_weight is not None:
                    of_weight += slope.T @ part
        ctx.save_for_backward(of_states, of_weight)
        return total

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        of_states, of_weight = ctx.saved_tensors
        return of_states * slope.to(of_states.dtype), None if of_weight is None else of_weight * slope, None
