"""RandAugment and TrivialAugment for a complete batch at once; each image gets its own operations and strengths.

torchvision's transforms of these names sample one operation for all images of a batch. Here the images are sorted by
the operation that was sampled for each, and every operation is applied once. Operations are sampled on the CPU, so that
the GPU is never synchronised with, and are the same on both.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as vision

AutoAugment = Literal["none", "randaugment", "trivial"]
STRENGTHS = 31  # levels of an operation, from 0 to the maximum


class Operation(NamedTuple):
    """One way to change images.

    Args:
        apply: from (n, C, H, W) uint8 and (n, 1, 1, 1) strengths to such images.
        maximum: its maximum.
        signed: whether the sign of the strength is random.
    """

    apply: Callable[[Tensor, Tensor], Tensor]
    maximum: float = 0.0
    signed: bool = False


def blended(images: Tensor, other: Tensor | float, strength: Tensor) -> Tensor:
    """`other` at strength -1, the images at 0, and beyond them above."""
    factor = 1 + strength
    return (images * factor + other * (1 - factor)).clamp(0, 255).to(torch.uint8)


def grey(images: Tensor) -> Tensor:
    """(B, C, H, W) → (B, 1, H, W)"""
    return vision.rgb_to_grayscale(images) if images.shape[1] == 3 else images


def brightness(images: Tensor, strength: Tensor) -> Tensor:
    """Away from black."""
    return blended(images, 0.0, strength)


def colour(images: Tensor, strength: Tensor) -> Tensor:
    """Away from the image without its colours."""
    return blended(images, grey(images), strength)


def contrast(images: Tensor, strength: Tensor) -> Tensor:
    """Away from the image's mean grey."""
    return blended(images, grey(images).float().mean((1, 2, 3), keepdim=True), strength)


def sharpness(images: Tensor, strength: Tensor) -> Tensor:
    """Away from the image blurred; the outermost pixels stay."""
    if min(images.shape[2:]) < 3:
        return images
    pixels = images.float()
    rows = pixels[:, :, :-2] + pixels[:, :, 1:-1] + pixels[:, :, 2:]
    around = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    inner = pixels[:, :, 1:-1, 1:-1]
    blurred = ((around + 4 * inner) / 13).round()  # a pixel weighs five times as much as each of its neighbours
    changed = images.clone()
    changed[:, :, 1:-1, 1:-1] = blended(inner, blurred, strength)
    return changed


def posterized(images: Tensor, strength: Tensor) -> Tensor:
    """Without the lowest bits of each value, as many as the strength says."""
    bits = 8 - (8 - strength).round().to(torch.uint8)
    return (images >> bits) << bits


def solarized(images: Tensor, strength: Tensor) -> Tensor:
    """The brightest values inverted, from 255 at no strength to all at 1."""
    return torch.where(images >= 255 * (1 - strength), 255 - images, images)


def moved(images: Tensor, matrix: list[Tensor | float]) -> Tensor:
    """Each pixel taken from another place; what comes in is black.

    Args:
        images: (B, C, H, W)
        matrix: a, b, c, d, e, f, each (B, 1, 1, 1) or a number: the pixel at (x, y) from the middle is taken from
            (ax + by + c, dx + ey + f).
    """
    height, width = images.shape[2:]
    scale = [1, height / width, 2 / width, width / height, 1, 2 / height]  # to sides from -1 to 1
    full = images.new_ones(len(images), dtype=torch.float)
    parts = [full * (part.flatten() if isinstance(part, Tensor) else part) for part in matrix]
    theta = torch.stack([part * by for part, by in zip(parts, scale, strict=True)], 1).view(-1, 2, 3)
    places = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), places, mode="nearest", align_corners=False).to(torch.uint8)


def sheared_x(images: Tensor, strength: Tensor) -> Tensor:
    """Rows pushed aside, the more the lower they are; the uppermost stays."""
    return moved(images, [1, strength, strength * images.shape[2] / 2, 0, 1, 0])


def sheared_y(images: Tensor, strength: Tensor) -> Tensor:
    """Columns pushed up or down, the more the farther right they are; the leftmost stays."""
    return moved(images, [1, 0, 0, strength, 1, strength * images.shape[3] / 2])


def moved_x(images: Tensor, strength: Tensor) -> Tensor:
    """To the side by an integer number of pixels."""
    return moved(images, [1, 0, -strength.trunc(), 0, 1, 0])


def moved_y(images: Tensor, strength: Tensor) -> Tensor:
    """Down by an integer number of pixels."""
    return moved(images, [1, 0, 0, 0, 1, -strength.trunc()])


def rotated(images: Tensor, strength: Tensor) -> Tensor:
    """Rotated by a number of degrees."""
    cos, sin = (strength * (math.pi / 180)).cos(), (strength * (math.pi / 180)).sin()
    return moved(images, [cos, -sin, 0, sin, cos, 0])


def operations(policy: AutoAugment, height: int, width: int) -> dict[str, Operation]:
    """The operations of RandAugment, or of TrivialAugment's wide space, by torchvision's names and strengths.

    But nothing is moved by more than 45 % of a side, as RandAugment has it: TrivialAugment's 32 pixels would leave
    small images black.
    """
    wide = policy == "trivial"
    shear, tone = (0.99, 0.99) if wide else (0.3, 0.9)
    right, down = (min(side * 150 / 331, 32.0 if wide else math.inf) for side in (width, height))
    return {
        "Identity": Operation(lambda images, _: images),
        "ShearX": Operation(sheared_x, shear, True),
        "ShearY": Operation(sheared_y, shear, True),
        "TranslateX": Operation(moved_x, right, True),
        "TranslateY": Operation(moved_y, down, True),
        "Rotate": Operation(rotated, 135.0 if wide else 30.0, True),
        "Brightness": Operation(brightness, tone, True),
        "Color": Operation(colour, tone, True),
        "Contrast": Operation(contrast, tone, True),
        "Sharpness": Operation(sharpness, tone, True),
        "Posterize": Operation(posterized, 6.0 if wide else 4.0),
        "Solarize": Operation(solarized, 1.0),
        "AutoContrast": Operation(lambda images, _: vision.autocontrast(images)),
        "Equalize": Operation(lambda images, _: vision.equalize(images)),
    }


def auto_augmented(images: Tensor, policy: AutoAugment) -> Tensor:
    """Each image changed by operations that are sampled for it.

    RandAugment (Cubuk et al. 2020, https://arxiv.org/abs/1909.13719): two operations, of 30 % of the maximum strength.
    TrivialAugment (Müller & Hutter 2021, https://arxiv.org/abs/2103.10158): one, of any strength.

    Args:
        images: (B, C, H, W) uint8, grey or in colour.
        policy: one of the two.
    """
    known = list(operations(policy, *images.shape[2:]).values())
    maxima = torch.tensor([operation.maximum for operation in known])
    signed = torch.tensor([operation.signed for operation in known])
    count = len(images)
    for _ in range({"none": 0, "randaugment": 2, "trivial": 1}[policy]):
        sampled = torch.randint(len(known), (count,)).sort(stable=True)
        level = torch.randint(STRENGTHS, (count,)) if policy == "trivial" else torch.full((count,), 9)
        sign = torch.where(signed[sampled.values] & (torch.rand(count) < 0.5), -1, 1)
        strength = (sign * level * maxima[sampled.values] / (STRENGTHS - 1)).view(-1, 1, 1, 1).to(images.device)
        sizes = torch.bincount(sampled.values, minlength=len(known)).tolist()
        parts = zip(known, images[sampled.indices.to(images.device)].split(sizes), strength.split(sizes), strict=True)
        changed = torch.cat([operation.apply(part, strong) for operation, part, strong in parts if len(part)])
        images = changed[sampled.indices.argsort().to(images.device)]
    return images
