"""Where a convolutional network looks: Grad-CAM."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.optim.parameter_groups import head_of

RED, OPACITY = (1.0, 0.15, 0.0), 0.7  # of what speaks most for the score


def last_feature_map(model: nn.Module, images: Tensor, head_names: tuple[str, ...]) -> nn.Module | None:
    """The last module before the head whose output is a feature map of more than one cell; None where there is none.

    Args:
        model: in evaluation.
        images: (B, C, H, W)
        head_names: of the head's modules.
    """
    inside = {part for head in head_of(model, head_names) for part in head.modules()}
    found: list[nn.Module] = []

    def note(module: nn.Module, args: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.dim() == 4 and min(output.shape[2:]) > 1:
            found.append(module)

    hooks = [module.register_forward_hook(note) for module in model.modules() if module not in inside]
    try:
        model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return found[-1] if found else None


def grad_cam(module: nn.Module, score: Callable[[], Tensor]) -> Tensor:
    """Which cells of a feature map speak for a score: `ReLU(Σ_k α_k A_k)`, α_k the mean gradient of channel k's cells.

    Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391. Only what comes after the module is differentiated, and no
    parameter gets a gradient.

    Args:
        module: whose output A is the feature map, (B, K, h, w).
        score: runs the network, and returns the score of each image, (B,).

    Returns:
        (B, h, w), at least 0.
    """
    maps: list[Tensor] = []

    def cut_off(module: nn.Module, args: Any, output: Tensor) -> Tensor:
        maps.append(output.detach().requires_grad_())
        return maps[-1].clone()  # an activation may write into it

    hook = module.register_forward_hook(cut_off)
    try:
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(score().sum(), maps[-1:])
    finally:
        hook.remove()
    weights = gradient.float().mean((2, 3), keepdim=True)
    return (weights * maps[-1].detach().float()).sum(1).relu()


def overlaid(images: Tensor, maps: Tensor) -> Tensor:
    """Images in grey, red where the maps are high, (B, 3, H, W) from 0 to 1.

    Args:
        images: (B, C, H, W) from 0 to 1.
        maps: (B, h, w), at least 0; each is scaled by its maximum.
    """
    grey, maps = images.float().cpu().mean(1, keepdim=True), maps.cpu()[:, None]
    largest = maps.amax((2, 3), keepdim=True)
    strength = OPACITY * F.interpolate(maps / largest.clamp(min=1e-12), images.shape[2:], mode="bilinear")
    return (1 - strength) * grey + strength * torch.tensor(RED).view(3, 1, 1)
