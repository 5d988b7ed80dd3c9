"""Random changes to training images, a whole batch at once, on its device; each image has chances of its own."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

MOST_STRETCH = 4 / 3  # of a crop's sides against each other, as for Inception (Szegedy et al. 2015)


def cut_and_turned(images: Tensor, crop: float, rotate: float) -> Tensor:
    """Each image's random part, turned, and scaled to the size of the whole.

    Args:
        images: (B, C, H, W)
        crop: the least share of the area that the part has; 1 for the whole.
        rotate: turn by up to this many degrees each way; what comes in at the corners is black.

    Returns:
        (B, C, H, W) float
    """
    count, _, height, width = images.shape

    def chance(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, device=images.device)

    area, stretch = chance(crop, 1), chance(-1, 1) * math.log(MOST_STRETCH) * (crop < 1)
    sides = torch.stack([(area * stretch.exp()).sqrt(), (area / stretch.exp()).sqrt()], 1).clamp(max=1)  # (B, 2)
    centre = (1 - sides) * torch.stack([chance(-1, 1), chance(-1, 1)], 1)  # both from -1 to 1 over the image
    angle = chance(-1, 1) * math.radians(rotate)
    cos, sin = angle.cos(), angle.sin()
    matrix = torch.stack(  # from a pixel's place in the result to its place in the image
        [
            torch.stack([cos * sides[:, 0], -sin * sides[:, 1] * (height / width), centre[:, 0]], 1),
            torch.stack([sin * sides[:, 0] * (width / height), cos * sides[:, 1], centre[:, 1]], 1),
        ],
        1,
    )
    places = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), places, align_corners=False)


def jittered(images: Tensor, most: float) -> Tensor:
    """Each image with another brightness, contrast and, where it has colours, saturation.

    Args:
        images: (B, C, H, W) from 0 to 255.
        most: share by which each is changed at most.

    Returns:
        (B, C, H, W) float, from 0 to 255.
    """
    images = images.float()
    brightness, contrast, saturation = 1 + most * (2 * torch.rand(3, len(images), 1, 1, 1, device=images.device) - 1)
    images = images * brightness
    images = images.mean((1, 2, 3), keepdim=True).lerp(images, contrast)
    images = images.mean(1, keepdim=True).lerp(images, saturation)
    return images.clamp(0, 255)
