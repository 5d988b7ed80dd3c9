"""Synchronised batch norms for the CPU, where torch's are not available."""

from typing import Any

import torch
from lightning.pytorch.plugins import LayerSync
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from callbacks.private.torch import BatchNorm


class AllReduceSum(torch.autograd.Function):
    """The sum over all processes; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        """All-reduce the value."""
        value = value.clone()
        distributed.all_reduce(value)
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """All-reduce the gradient."""
        return AllReduceSum.forward(ctx, gradient)


class SyncBatchNorm(BatchNorm):
    """Normalises by the mean and variance of the batches of all processes.

    torch's own works on GPUs only, and DDP refuses it elsewhere.

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
        total, size = AllReduceSum.apply(torch.cat([precise.sum(dims), count])).split([x.shape[1], 1])
        mean = total / size
        centred = precise - mean.view(shape)
        variance = AllReduceSum.apply(centred.square().sum(dims)) / size
        self.track(mean.detach(), variance.detach() * size / (size - 1))
        normal = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        return normal.to(x.dtype)

    def track(self, mean: Tensor, variance: Tensor) -> None:
        """Update the running statistics with those of a batch, (C,) each."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        weight = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), weight)
        self.running_var.lerp_(variance.to(self.running_var.dtype), weight)


class SyncBatchNorms(LayerSync):
    """Synchronises a model's batch norms, for as long as it is trained."""

    def __init__(self) -> None:
        self.classes: dict[nn.Module, type[nn.Module]] = {}

    def apply(self, model: nn.Module) -> nn.Module:
        """Synchronise the batch norms."""
        for module in model.modules():
            if isinstance(module, BatchNorm):
                self.classes[module] = type(module)
                module.__class__ = SyncBatchNorm  # in place: others may refer to the layer
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Restore the batch norms."""
        for module, cls in self.classes.items():
            module.__class__ = cls
        return model
