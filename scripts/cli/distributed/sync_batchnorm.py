"""Batch norms that share their statistics among processes, where torch's cannot."""

from typing import Any

import torch
from lightning.pytorch.plugins import LayerSync
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from callbacks.private.torch import BatchNorm


class SharedSum(torch.autograd.Function):
    """The sum over all processes; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        """Add up."""
        value = value.clone()
        distributed.all_reduce(value)
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Add up what every process makes of the sum."""
        return SharedSum.forward(ctx, gradient)


class SyncBatchNorm(BatchNorm):
    """Normalises by the mean and variance of the whole batch, which several processes share.

    torch's own works on GPUs alone, and DDP refuses it elsewhere.

    Shapes:
        input and output (B, C, …); B may differ from process to process.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        if not self.training:
            untracked = self.running_mean is None and self.running_var is None
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, untracked, eps=self.eps)
        precise = x.to(torch.promote_types(x.dtype, torch.float32))
        dims = [0, *range(2, x.dim())]
        shape = (1, -1, *[1] * (x.dim() - 2))
        count = precise.new_tensor([x.numel() / x.shape[1]])
        total, number = SharedSum.apply(torch.cat([precise.sum(dims), count])).split([x.shape[1], 1])
        mean = total / number
        centred = precise - mean.view(shape)
        variance = SharedSum.apply(centred.square().sum(dims)) / number
        self.track(mean.detach(), variance.detach() * number / (number - 1))
        normal = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        return normal.to(x.dtype)

    def track(self, mean: Tensor, variance: Tensor) -> None:
        """Bring the running statistics up to date with those of a batch, (C,) each."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


class SyncBatchNorms(LayerSync):
    """Has a model's batch norms share their statistics, for as long as it is trained."""

    def __init__(self) -> None:
        self.kinds: dict[nn.Module, type[nn.Module]] = {}

    def apply(self, model: nn.Module) -> nn.Module:
        """Have them share."""
        for module in model.modules():
            if isinstance(module, BatchNorm):
                self.kinds[module] = type(module)
                module.__class__ = SyncBatchNorm  # the layer stays: others may hold on to it
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Make them what they were."""
        for module, kind in self.kinds.items():
            module.__class__ = kind
        return model
