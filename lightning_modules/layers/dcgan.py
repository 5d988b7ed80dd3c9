"""The networks of DCGAN (Radford et al. 2016, https://arxiv.org/abs/1511.06434) for square images of any size."""

import itertools

from torch import Tensor, nn


def halvings(image_size: int) -> int:
    """The number of halvings, at least two, that leave an image at most four pixels a side, as in DCGAN.

    With fewer, the discriminator's receptive field would not cover a digit.
    """
    count = 2
    while -(-image_size // 2**count) > 4:
        count += 1
    return count


class Generator(nn.Module):
    """Generates images from noise: transposed convolutions double a small feature map until it has the image's size.

    Args:
        latent_size: Z
        channels: C
        image_size: H, to which the output of the last doubling is cropped.
        hidden_size: feature maps before the last doubling; twice as many before each earlier one.

    Shapes:
        input (B, Z), output (B, C, H, H) from 0 to 1
    """

    def __init__(self, latent_size: int, channels: int, image_size: int, hidden_size: int) -> None:
        super().__init__()
        count = halvings(image_size)
        sizes = [hidden_size * 2**exponent for exponent in reversed(range(count))]
        start = -(-image_size // 2**count)
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent_size, sizes[0], start, bias=False)]
        for size, after in zip(sizes, [*sizes[1:], channels], strict=True):
            layers += [nn.BatchNorm2d(size), nn.ReLU(), nn.ConvTranspose2d(size, after, 4, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers)
        self.image_size = image_size
        self.border = (start * 2**count - image_size) // 2

    def forward(self, noise: Tensor) -> Tensor:
        """Images."""
        images = self.layers(noise[:, :, None, None])  # (B, Z) → (B, C, H', H')
        within = slice(self.border, self.border + self.image_size)
        return images[:, :, within, within].sigmoid()  # (tanh + 1) / 2, up to the scale of its argument


class Discriminator(nn.Module):
    """Classifies images as real or generated; halves the image as often as the generator doubles it.

    Args:
        channels: C
        image_size: H
        hidden_size: feature maps after the first halving; twice as many after each later one.

    Shapes:
        input (B, C, H, H), output (B,), the logit of being real
    """

    def __init__(self, channels: int, image_size: int, hidden_size: int) -> None:
        super().__init__()
        count = halvings(image_size)
        sizes = [hidden_size * 2**exponent for exponent in range(count)]
        layers: list[nn.Module] = [nn.Conv2d(channels, sizes[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for before, size in itertools.pairwise(sizes):
            layers += [
                nn.Conv2d(before, size, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(size),
                nn.LeakyReLU(0.2),
            ]
        side = image_size // 2**count
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(sizes[-1] * side**2, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        return self.layers(images).squeeze(1)
