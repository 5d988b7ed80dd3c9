import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from datamodules.augmentation.images import ImageAugmentation, cut_and_turned, erased, jittered
from datamodules.images import Images


def ramp(count: int, height: int, width: int) -> torch.Tensor:
    """Images whose first channel is each pixel's x and whose second its y, from the middle, in pixels."""
    x = torch.arange(width).float() - (width - 1) / 2
    y = torch.arange(height).float() - (height - 1) / 2
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)]).expand(count, -1, -1, -1)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float])
def test_the_whole_image_unturned_is_the_image(dtype: torch.dtype) -> None:
    images = torch.randint(0, 256, (4, 3, 9, 7)).to(dtype)
    torch.testing.assert_close(cut_and_turned(images, crop=1.0, rotate=0.0), images.float(), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(60, 60), (40, 80)])
def test_a_part_has_its_share_of_the_area_and_lies_within_the_image(height: int, width: int) -> None:
    torch.manual_seed(0)
    found = cut_and_turned(ramp(300, height, width), crop=0.25, rotate=0.0)[:, :, 2:-2, 2:-2]  # edges touch the black
    step_x = (found[:, 0, :, -1] - found[:, 0, :, 0]).mean(1) / (width - 5)  # pixels of the image in one of the part
    step_y = (found[:, 1, -1] - found[:, 1, 0]).mean(1) / (height - 5)
    area = step_x * step_y
    assert 0.22 < area.min() < 0.3
    assert area.max() <= 1.001
    stretch = step_x / step_y
    assert 0.7 < stretch.min() < 0.85
    assert 1.2 < stretch.max() < 1.4
    middle = found[:, :, found.shape[2] // 2, found.shape[3] // 2].abs().amax(0)
    assert 0.2 * width < middle[0] < width / 2
    assert 0.2 * height < middle[1] < height / 2
    corner = found[:, 0, 0, 0] - 2 * step_x
    assert corner.min() > -width / 2 - 1


@pytest.mark.parametrize(("height", "width"), [(41, 41), (31, 61)])
def test_turning_keeps_distances_and_the_middle(height: int, width: int) -> None:
    torch.manual_seed(0)
    found = cut_and_turned(ramp(200, height, width), crop=1.0, rotate=30.0)
    row, column = height // 2, width // 2
    torch.testing.assert_close(found[:, :, row, column], torch.zeros(200, 2), atol=1e-4, rtol=0)
    right = found[:, :, row, column + 5]  # five pixels right of the middle
    torch.testing.assert_close(right.norm(dim=1), torch.full((200,), 5.0), atol=1e-3, rtol=0)
    below = found[:, :, row + 5, column]
    torch.testing.assert_close((right * below).sum(1), torch.zeros(200), atol=1e-3, rtol=0)
    degrees = torch.atan2(right[:, 1], right[:, 0]) * 180 / math.pi
    assert -30.01 < degrees.min() < -25
    assert 25 < degrees.max() < 30.01


def test_recoloured_images_keep_to_their_range_and_differ_by_no_more_than_was_allowed() -> None:
    torch.manual_seed(0)
    grey = torch.full((300, 3, 4, 4), 100, dtype=torch.uint8)  # contrast and saturation change nothing here
    found = jittered(grey, 0.3)
    assert torch.equal(found, found[:, :1, :1, :1].expand_as(found))
    assert 69.9 < found.min() < 75
    assert 125 < found.max() < 130.1
    colour = jittered(torch.randint(0, 256, (50, 3, 4, 4)), 1.0)
    assert (float(colour.min()), float(colour.max())) == (0, 255)


def test_contrast_and_saturation_keep_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = torch.rand(1, 3, 5, 5) * 50 + 100
    monkeypatch.setattr(torch, "rand", lambda *_, **__: torch.tensor([0.5, 0.9, 0.1]).view(3, 1, 1, 1, 1))
    found = jittered(pixels, 0.5)  # brightness 1, contrast 1.4, saturation 0.6
    torch.testing.assert_close(found.mean(), pixels.mean())
    torch.testing.assert_close(found.mean(1).std(), 1.4 * pixels.mean(1).std())
    torch.testing.assert_close(found.std(1).mean(), 0.6 * 1.4 * pixels.std(1).mean())


@pytest.mark.parametrize("options", [{"crop": 0.5}, {"rotate": 20.0}, {"jitter": 0.3}])
def test_images_of_a_batch_are_changed_each_in_its_own_way(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    image = torch.randint(0, 256, (1, 3, 12, 12), dtype=torch.uint8)
    found = ImageAugmentation(**options).augment(image.expand(6, -1, -1, -1))
    assert found.shape == (6, 3, 12, 12)
    assert len({one.numpy().tobytes() for one in found}) == 6


@pytest.mark.parametrize(("height", "width"), [(50, 50), (40, 80), (80, 40)])
def test_what_is_erased_is_a_rectangle_of_its_share_of_the_area(height: int, width: int) -> None:
    torch.manual_seed(0)
    gone = erased(torch.ones(600, 2, height, width), 1.0) == 0
    assert torch.equal(gone[:, 0], gone[:, 1])
    gone = gone[:, 0]
    rows, columns = gone.any(2), gone.any(1)
    assert torch.equal(gone, rows[:, :, None] & columns[:, None])
    for side in (rows, columns):
        assert (side.int().diff(dim=1).abs().sum(1) <= 2).all()  # one stretch without a gap
    share = gone.float().mean((1, 2))
    assert 0.015 < share.min() < 0.05
    assert 0.36 < share.max() < 0.42
    assert share.mean() == pytest.approx(0.21, abs=0.015)
    slim = rows.sum(1) / columns.sum(1)
    assert 0.25 < slim.min() < 0.45
    assert 2.2 < slim.max() < 3.8
    for side in (rows, columns):
        assert side[:, [0, -1]].any(0).all()  # up to every border


def test_each_image_is_erased_by_its_own_chance_and_with_the_mean() -> None:
    torch.manual_seed(0)
    images = torch.rand(2000, 1, 6, 6) + 1
    found = erased(images, 0.3, value=-5.0)
    changed = found != images
    assert changed.flatten(1).any(1).float().mean() == pytest.approx(0.3, abs=0.04)
    assert (found[changed] == -5).all()
    assert torch.equal(erased(images, 0.0), images)


def coded(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of three classes, whose channels say which share of each pixel is of which class."""
    target = torch.arange(count) % 3
    return F.one_hot(target, 3).float()[:, :, None, None].expand(-1, -1, 12, 10).contiguous(), target


@pytest.mark.parametrize("options", [{"mixup": 0.7}, {"cutmix": 1.0}, {"mixup": 0.7, "cutmix": 1.0}])
def test_targets_are_mixed_as_the_pixels_are(options: dict[str, Any]) -> None:
    augmentation = ImageAugmentation(**options)
    seen = set()
    for seed in range(40):
        torch.manual_seed(seed)
        images, target = augmentation.mix(*coded(7), num_classes=3)
        assert target.shape == (7, 3)
        torch.testing.assert_close(images.mean((2, 3)), target)
        torch.testing.assert_close(target.sum(1), torch.ones(7))
        seen.add(
            "blended" if ((images > 0) & (images < 1)).any() else "pasted" if (target < 1).all(1).any() else "as is"
        )
    assert ("blended" in seen) == ("mixup" in options)
    assert ("pasted" in seen) == ("cutmix" in options)


def test_without_mixing_targets_are_classes() -> None:
    images, target = coded(5)
    found = ImageAugmentation(erase=0.5).mix(images, target, num_classes=3)
    assert torch.equal(found[1], target)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize(
    "options",
    [
        *({"flip": True}, {"shift": 2}, {"crop": 0.5}, {"rotate": 20.0}, {"jitter": 0.3}, {"erase": 0.5}),
        *({"mixup": 0.7}, {"cutmix": 1.0}, {"auto_augment": "randaugment"}, {"auto_augment": "trivial"}),
    ],
)
def test_on_a_gpu_a_batch_is_changed_there_and_the_processor_does_not_wait_for_it(options: dict[str, Any]) -> None:
    data: Any = Images("digits", **options)
    data.setup("fit")
    plain = SimpleNamespace(convert_input=lambda images: images)
    data.trainer = SimpleNamespace(training=True, precision_plugin=plain)
    batch = torch.randint(0, 256, (32, *data.shape), dtype=torch.uint8).cuda(), (torch.arange(32) % 10).cuda()
    data.on_after_batch_transfer(batch, 0)  # the first call sets the GPU up
    torch.cuda.set_sync_debug_mode("error" if "auto_augment" not in options else "default")
    try:
        images, target = data.on_after_batch_transfer(batch, 0)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert images.is_cuda
    assert target.is_cuda
