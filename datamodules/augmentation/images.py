"""Random changes to training images, a complete batch at once, on its device; each image is changed independently."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import v2

from datamodules.augmentation.auto_augment import AutoAugment, auto_augmented

MAX_STRETCH = 4 / 3  # aspect ratio of a crop, as for Inception (Szegedy et al. 2015)
ERASED = (0.02, 0.4)  # minimum and maximum fraction of the area that is erased, as in the paper
MAX_ERASED_RATIO = 10 / 3  # aspect ratio of an erased rectangle, as in the paper


@dataclass(frozen=True)
class ImageAugmentation:
    """The random changes to training images.

    Args:
        flip: mirror images left to right, each with probability 1/2.
        shift: move images by up to this many pixels each way.
        crop: minimum fraction of the area of a random crop, which is scaled up to the image's size; 1 for no crop.
        rotate: rotate images by up to this many degrees each way.
        auto_augment: see `auto_augmented`.
        jitter: maximum relative change of brightness, contrast and saturation.
        erase: probability that a rectangle of an image is erased.
        mixup: parameter of the Beta distribution of the mixing ratio, sampled once a batch; 0 for no MixUp.
        cutmix: the same of CutMix; with both, one of them is chosen at random for each batch.

    Raises:
        ValueError: a value is out of its range.
    """

    flip: bool = False
    shift: int = 0
    crop: float = 1.0
    rotate: float = 0.0
    auto_augment: AutoAugment = "none"
    jitter: float = 0.0
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        if self.shift < 0:
            raise ValueError(f"--data.shift: expected at least 0 pixels, got {self.shift}")
        if not 0 < self.crop <= 1:
            raise ValueError(f"--data.crop: expected a fraction of the area above 0 and up to 1, got {self.crop}")
        if not 0 <= self.rotate <= 180:
            raise ValueError(f"--data.rotate: expected 0 to 180 degrees, got {self.rotate}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"--data.jitter: expected a fraction from 0 to 1, got {self.jitter}")
        if not 0 <= self.erase <= 1:
            raise ValueError(f"--data.erase: expected a probability from 0 to 1, got {self.erase}")
        for option, value in (("mixup", self.mixup), ("cutmix", self.cutmix)):
            if not 0 <= value < math.inf:
                raise ValueError(f"--data.{option}: expected a positive number, or 0 to disable it, got {value}")

    def augment(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) from 0 to 255, each one mirrored, moved, cropped, rotated and recoloured at random."""
        if self.flip:
            mirrored = torch.rand(len(images), device=images.device) < 0.5
            images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images)
        if self.shift:
            images = shifted(images, self.shift)
        if self.crop < 1 or self.rotate:
            images = cut_and_turned(images, self.crop, self.rotate)
        if self.auto_augment != "none":
            images = auto_augmented(images.round().to(torch.uint8), self.auto_augment)
        if self.jitter:
            images = jittered(images, self.jitter)
        return images

    def mix(self, images: Tensor, target: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
        """Normalised images with parts erased, and mixed with others of the batch, and their targets likewise."""
        if self.erase:
            images = erased(images, self.erase)
        alphas = [(v2.MixUp, self.mixup), (v2.CutMix, self.cutmix)]
        transforms = [transform(alpha=alpha, num_classes=num_classes) for transform, alpha in alphas if alpha]
        if transforms:
            images, target = v2.RandomChoice(transforms)(images, target)
        return images, target


def shifted(images: Tensor, max_pixels: int) -> Tensor:
    """Each image moved by a random number of pixels, up to `max_pixels` each way; what comes in is black."""
    count, channels, height, width = images.shape
    padded = F.pad(images, (max_pixels, max_pixels, max_pixels, max_pixels))
    down, right = torch.randint(0, 2 * max_pixels + 1, (2, count, 1), device=images.device)
    rows = (torch.arange(height, device=images.device) + down)[:, None, :, None]  # (B, 1, H, 1)
    columns = (torch.arange(width, device=images.device) + right)[:, None, None, :]  # (B, 1, 1, W)
    example = torch.arange(count, device=images.device).view(-1, 1, 1, 1)
    channel = torch.arange(channels, device=images.device).view(1, -1, 1, 1)
    return padded[example, channel, rows, columns]


def cut_and_turned(images: Tensor, crop: float, rotate: float) -> Tensor:
    """A random crop of each image, rotated, and scaled to the size of the image.

    Args:
        images: (B, C, H, W)
        crop: minimum fraction of the area; 1 for no crop.
        rotate: maximum angle in degrees, each way; what comes in at the corners is black.

    Returns:
        (B, C, H, W) float
    """
    count, _, height, width = images.shape

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, device=images.device)

    area, stretch = uniform(crop, 1), uniform(-1, 1) * math.log(MAX_STRETCH) * (crop < 1)
    sides = torch.stack([(area * stretch.exp()).sqrt(), (area / stretch.exp()).sqrt()], 1).clamp(max=1)  # (B, 2)
    centre = (1 - sides) * torch.stack([uniform(-1, 1), uniform(-1, 1)], 1)  # both from -1 to 1 over the image
    angle = uniform(-1, 1) * math.radians(rotate)
    cos, sin = angle.cos(), angle.sin()
    matrix = torch.stack(  # from a pixel's position in the result to its position in the image
        [
            torch.stack([cos * sides[:, 0], -sin * sides[:, 1] * (height / width), centre[:, 0]], 1),
            torch.stack([sin * sides[:, 0] * (width / height), cos * sides[:, 1], centre[:, 1]], 1),
        ],
        1,
    )
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), grid, align_corners=False)


def jittered(images: Tensor, max_change: float) -> Tensor:
    """Each image with another brightness, contrast and, where it has colours, saturation.

    Args:
        images: (B, C, H, W) from 0 to 255.
        max_change: maximum relative change of each.

    Returns:
        (B, C, H, W) float, from 0 to 255.
    """
    images = images.float()
    brightness, contrast, saturation = 1 + max_change * (
        2 * torch.rand(3, len(images), 1, 1, 1, device=images.device) - 1
    )
    images = images * brightness
    images = images.mean((1, 2, 3), keepdim=True).lerp(images, contrast)
    images = images.mean(1, keepdim=True).lerp(images, saturation)
    return images.clamp(0, 255)


def erased(images: Tensor, probability: float, value: float = 0.0) -> Tensor:
    """Some images without a rectangle of 2 to 40 % of the area, somewhere in the image.

    Random erasing, Zhong et al. 2017, https://arxiv.org/abs/1708.04896. The paper fills with noise or with the mean
    colour, which does as well and costs nothing: that of normalised images is 0.

    Args:
        images: (B, C, H, W)
        probability: of each image to lose a part.
        value: of what is erased.
    """
    count, _, height, width = images.shape
    area, stretch, right, down, sampled = torch.rand(5, count, device=images.device)
    area = ERASED[0] + (ERASED[1] - ERASED[0]) * area
    lowest = (area * height / width).log().clamp(min=-math.log(MAX_ERASED_RATIO))  # no higher or wider than the image
    highest = (height / (area * width)).log().clamp(max=math.log(MAX_ERASED_RATIO))
    ratio = (lowest + (highest - lowest) * stretch).exp()
    sides = torch.stack([(area * height * width * ratio).sqrt(), (area * height * width / ratio).sqrt()])
    high, wide = sides.round().clamp(min=1)
    top, left = (down * (height - high + 1)).floor(), (right * (width - wide + 1)).floor()
    y, x = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    rows = (y >= top[:, None]) & (y < (top + high)[:, None])  # (B, H)
    columns = (x >= left[:, None]) & (x < (left + wide)[:, None])  # (B, W)
    hidden = rows[:, :, None] & columns[:, None] & (sampled < probability)[:, None, None]
    return images.masked_fill(hidden[:, None], value)
