import pytest
import torch

from lightning_modules.cnn import CNN


@pytest.mark.parametrize(("channels", "size"), [(1, 8), (1, 28), (3, 32), (3, 100)])
def test_fits_the_size_of_the_image(channels: int, size: int) -> None:
    model = CNN(in_channels=channels, image_size=size, num_classes=4).eval()
    assert model(torch.randn(2, channels, size, size)).shape == (2, 4)
    assert model(torch.randn(2, channels, size, size - 2)).shape == (2, 4)


def test_refuses_more_blocks_than_the_image_can_be_halved() -> None:
    with pytest.raises(ValueError, match=r"--model.channels: 5 blocks each halve the image, but it has only 8 pixels"):
        CNN(in_channels=1, image_size=8, num_classes=4, channels=(4, 4, 4, 4, 4))


def test_examples_do_not_leak_into_each_other() -> None:
    model = CNN(in_channels=1, image_size=8, num_classes=4).eval()
    images = torch.randn(5, 1, 8, 8)
    changed = images.clone()
    changed[3] = 0
    kept = [0, 1, 2, 4]
    torch.testing.assert_close(model(images)[kept], model(changed)[kept])
