import pytest
import torch
from torch import nn

from lightning_modules.layers.dcgan import Discriminator, Generator


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [4, 7, 8, 28, 30, 32, 64, 100])
def test_both_networks_fit_the_size_of_the_image(channels: int, size: int) -> None:
    images = Generator(5, channels, size, 4)(torch.randn(2, 5))
    assert images.shape == (2, channels, size, size)
    assert images.min() > 0
    assert images.max() < 1
    assert Discriminator(channels, size, 4)(images).shape == (2,)


def test_for_64_pixels_it_has_the_papers_layers() -> None:
    maps = [layer.in_channels for layer in Generator(100, 3, 64, 64).layers if isinstance(layer, nn.ConvTranspose2d)]
    assert maps == [100, 512, 256, 128, 64]
    maps = [layer.out_channels for layer in Discriminator(3, 64, 64).layers if isinstance(layer, nn.Conv2d)]
    assert maps == [64, 128, 256, 512]
