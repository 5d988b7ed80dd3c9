"""Convolutions whose kernel is wider than their map: what sees nothing but padding is not multiplied."""

from functools import cache
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn import functional as F


class SmallMaps(Callback):
    """Leaves out, on a CPU and while training, the entries of kernels that see nothing but padding.

    On a map of one pixel these are eight of nine, and oneDNN takes twenty times as long for the gradient of all of them
    as for that of the one. The output and the gradient are the same: what was left out has a gradient of zero.
    """

    def __init__(self) -> None:
        self._convolutions: list[Any] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Look at the map of each convolution."""
        if stage == "fit" and trainer.strategy.root_device.type == "cpu" and not self._convolutions:
            self._convolutions = [module for module in pl_module.modules() if can_be_trimmed(module)]
            for module in self._convolutions:
                module.forward = Trimmed(module)

    def teardown(self, *args: Any, **kwargs: Any) -> None:
        """Multiply complete kernels again."""
        while self._convolutions:
            vars(self._convolutions.pop()).pop("forward", None)  # else the cause of an exception would be hidden

    def on_exception(self, *args: Any, **kwargs: Any) -> None:
        """The same."""
        self.teardown()


def can_be_trimmed(module: nn.Module) -> bool:
    """Whether a module is a convolution of two dimensions that pads with so many zeros."""
    return (
        type(module) is nn.Conv2d
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and any(module.padding)
    )


class Trimmed:
    """The forward method of a convolution that leaves out what sees nothing but padding.

    Args:
        convolution: as `can_be_trimmed` finds it.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        self.convolution = convolution

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, D, H', W')"""
        it: Any = self.convolution
        if torch.compiler.is_compiling():  # which would trace it once for each map
            return nn.Conv2d.forward(it, x)
        rows, columns = map(seen, x.shape[-2:], it.kernel_size, it.stride, it.padding, it.dilation)
        weight = it.weight
        if (rows.size, columns.size) != it.kernel_size:
            weight = weight[:, :, rows.start : rows.start + rows.size, columns.start : columns.start + columns.size]
        return F.conv2d(x, weight, it.bias, it.stride, (rows.padding, columns.padding), it.dilation, it.groups)


class Seen(NamedTuple):
    """The entries of a kernel that see a map, in one dimension.

    Args:
        start: index of the first.
        size: how many.
        padding: of the map, on both sides, with which these give the same output.
    """

    start: int
    size: int
    padding: int


@cache
def seen(map_size: int, kernel: int, stride: int, padding: int, dilation: int) -> Seen:
    """The entries that see a map; all of them where no padding on both sides would give the same output."""

    def outputs(width: int, margin: int) -> int:
        return (map_size + 2 * margin - dilation * (width - 1) - 1) // stride + 1

    starts = range(-padding, -padding + stride * outputs(kernel, padding), stride)
    found = [entry for entry in range(kernel) if any(0 <= start + entry * dilation < map_size for start in starts)]
    if not found:
        return Seen(0, kernel, padding)
    size, margin = found[-1] - found[0] + 1, padding - found[0] * dilation
    if margin < 0 or outputs(size, margin) != len(starts):
        return Seen(0, kernel, padding)
    return Seen(found[0], size, margin)
