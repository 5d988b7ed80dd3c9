"""The filters of a network's first convolution."""

import torch
from torch import Tensor, nn

MAX_FILTERS = 64


def first_filters(model: nn.Module) -> Tensor | None:
    """The filters that read the pixels, as images from 0 to 1 whose grey is zero; None where there are none to see.

    Args:
        model: whose first convolution it is.

    Returns:
        (K, C, h, w), each scaled by its largest weight.
    """
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    if first is None or first.in_channels not in (1, 3) or first.groups != 1 or max(first.kernel_size) == 1:
        return None
    weight = first.weight.detach().float().cpu()[:MAX_FILTERS]
    largest = weight.abs().amax((1, 2, 3), keepdim=True)
    return torch.where(largest > 0, 0.5 + weight / (2 * largest), torch.full_like(weight, 0.5))
