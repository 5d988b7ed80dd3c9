"""Convolutions whose kernel is wider than their map are trained in 32 bits on a CPU, where bf16 has wrong gradients."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from callbacks.private.torch import Convolution


class BF16Convolutions(Callback):
    """Computes, on a CPU and while training, what oneDNN computes wrongly in bf16.

    The gradient of a kernel's entries that see nothing but padding, as eight of nine do on a map of one pixel, is zero.
    With torch 2.14 on a processor that multiplies bf16, oneDNN leaves in some of them what the memory held before,
    up to infinity. No score shows it, since such weights are multiplied by zero; but the norm of the gradient, and so
    what a gradient is clipped to, is arbitrary, no two runs leave the same weights, and larger images meet them.
    """

    def __init__(self) -> None:
        self._hooks: list[RemovableHandle] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Watch every convolution."""
        if stage == "fit" and trainer.strategy.root_device.type == "cpu":
            convolutions = [module for module in pl_module.modules() if isinstance(module, Convolution)]
            self._hooks = [module.register_forward_hook(in_32_bits) for module in convolutions]

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Watch none."""
        while self._hooks:
            self._hooks.pop().remove()


def in_32_bits(convolution: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
    """A forward hook: the same output, of the same type, if its gradient cannot be had in bf16; None if it can."""
    if output.dtype != torch.bfloat16 or not output.requires_grad:
        return None
    settings: Any = convolution
    map_size = (output if settings.transposed else inputs[0]).shape[-len(settings.kernel_size) :]
    reach = ((size - 1) * gap + 1 for size, gap in zip(settings.kernel_size, settings.dilation, strict=True))
    if all(width <= size for width, size in zip(reach, map_size, strict=True)):
        return None
    weights = {name: parameter.float() for name, parameter in convolution.named_parameters()}
    with torch.autocast("cpu", enabled=False):
        exact = torch.func.functional_call(convolution, weights, tuple(each.float() for each in inputs))
    return exact.to(output.dtype)
