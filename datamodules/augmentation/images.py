"""Random changes to training images, a whole batch at once, on its device; each image has chances of its own."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

MOST_STRETCH = 4 / 3  # of a crop's sides against each other, as for Inception (Szegedy et al. 2015)
ERASED = (0.02, 0.4)  # least and greatest share of the area that is erased, as the paper has it
MOST_SLIM = 10 / 3  # of an erased rectangle's sides against each other, the same


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


def erased(images: Tensor, chance: float, value: float = 0.0) -> Tensor:
    """Some images without a part: a rectangle of 2 to 40 % of the area, somewhere in the image.

    Random erasing, Zhong et al. 2017, https://arxiv.org/abs/1708.04896. The paper fills with noise or with the mean
    colour, which does as well and costs nothing: that of normalised images is 0.

    Args:
        images: (B, C, H, W)
        chance: of each image.
        value: of what is erased.
    """
    count, _, height, width = images.shape
    area, stretch, right, down, drawn = torch.rand(5, count, device=images.device)
    area = ERASED[0] + (ERASED[1] - ERASED[0]) * area
    least = (area * height / width).log().clamp(min=-math.log(MOST_SLIM))  # no higher or wider than the image
    most = (height / (area * width)).log().clamp(max=math.log(MOST_SLIM))
    slim = (least + (most - least) * stretch).exp()
    sides = torch.stack([(area * height * width * slim).sqrt(), (area * height * width / slim).sqrt()])
    high, wide = sides.round().clamp(min=1)
    top, left = (down * (height - high + 1)).floor(), (right * (width - wide + 1)).floor()
    y, x = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    rows = (y >= top[:, None]) & (y < (top + high)[:, None])  # (B, H)
    columns = (x >= left[:, None]) & (x < (left + wide)[:, None])  # (B, W)
    hidden = rows[:, :, None] & columns[:, None] & (drawn < chance)[:, None, None]
    return images.masked_fill(hidden[:, None], value)
