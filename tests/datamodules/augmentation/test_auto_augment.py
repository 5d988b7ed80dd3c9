from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import InterpolationMode, v2

from datamodules.augmentation import auto_augment
from datamodules.augmentation.auto_augment import Operation, auto_augmented, operations
from datamodules.augmentation.images import ImageAugmentation

THEIRS: dict[str, Any] = {"randaugment": v2.RandAugment, "trivial": v2.TrivialAugmentWide}
HEIGHT, WIDTH = 80, 96  # large enough that TrivialAugment's 32 pixels are less than 45 % of a side


def pictures(channels: int) -> Tensor:
    torch.manual_seed(0)
    coarse = torch.rand(4, channels, 9, 11) * 255
    return F.interpolate(coarse, (HEIGHT, WIDTH), mode="bilinear").round().to(torch.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", THEIRS)
def test_each_operation_is_torchvisions(kind: Any, channels: int) -> None:
    images, theirs = pictures(channels), THEIRS[kind]()
    ours = operations(kind, HEIGHT, WIDTH)
    assert ours.keys() == theirs._AUGMENTATION_SPACE.keys()
    for name, (strengths_of, signed) in theirs._AUGMENTATION_SPACE.items():
        strengths = strengths_of(31, HEIGHT, WIDTH)
        assert ours[name].signed == signed
        for level in (0, 9, 19, 29):  # none that lands half-way between two pixels
            for sign in (1, -1) if signed else (1,):
                strength = 0.0 if strengths is None else sign * float(strengths[level])
                expected = theirs._apply_image_or_video_transform(
                    images, name, strength, interpolation=InterpolationMode.NEAREST, fill={Tensor: None}
                )
                found = ours[name].apply(images, torch.full((4, 1, 1, 1), sign * level * ours[name].maximum / 30))
                assert found.dtype == torch.uint8
                unlike = (found.int() - expected.int()).abs()
                assert unlike.max() <= 1, (name, level, sign)  # where a fraction is cut off, the last bit decides
                assert (unlike > 0).float().mean() < 0.25, (name, level, sign)


@pytest.mark.parametrize("kind", THEIRS)
def test_strengths_of_each_image_are_its_own(kind: Any) -> None:
    images = pictures(3)[:1].expand(3, -1, -1, -1)
    for name, operation in operations(kind, HEIGHT, WIDTH).items():
        strengths = torch.tensor([0.2, 0.9, -0.6 if operation.signed else 0.5]).view(-1, 1, 1, 1) * operation.maximum
        together = operation.apply(images, strengths)
        alone = [operation.apply(images[:1], strengths[place : place + 1]) for place in range(3)]
        assert torch.equal(together, torch.cat(alone)), name
        if operation.maximum:
            assert len({image.numpy().tobytes() for image in together}) == 3, name


@pytest.mark.parametrize(("kind", "times", "least", "most"), [("randaugment", 2, 9, 9), ("trivial", 1, 0, 30)])
def test_each_image_draws_operations_and_keeps_its_place(
    kind: Any, times: int, least: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied: list[tuple[int, Tensor]] = []

    def noting(number: int) -> Operation:
        def apply(images: Tensor, strength: Tensor) -> Tensor:
            applied.append((number, strength.flatten()))
            return images + 50

        return Operation(apply, 60.0, signed=number == 1)

    monkeypatch.setattr(auto_augment, "operations", lambda *_: {str(number): noting(number) for number in range(3)})
    torch.manual_seed(0)
    places = (torch.arange(600) % 47).to(torch.uint8).view(-1, 1, 1, 1)
    assert torch.equal(auto_augmented(places, kind), places + 50 * times)
    strengths = {number: torch.cat([part for other, part in applied if other == number]) for number in range(3)}
    for number, drawn in strengths.items():
        assert 150 * times < len(drawn) < 250 * times
        assert (drawn < 0).any() == (number == 1)
        levels = drawn.abs() / 2
        assert (round(float(levels.min())), round(float(levels.max()))) == (least, most)
        assert torch.allclose(levels, levels.round())
    assert 0.4 < float((strengths[1][strengths[1] != 0] < 0).float().mean()) < 0.6


@pytest.mark.parametrize("side", [1, 2, 8])
def test_small_images_are_not_moved_out_of_sight(side: int) -> None:
    images = torch.full((50, 1, side, side), 200, dtype=torch.uint8)
    for name, operation in operations("trivial", side, side).items():
        found = operation.apply(images, torch.full((50, 1, 1, 1), operation.maximum))
        assert found.shape == images.shape
        if name.startswith("Translate"):
            assert (found > 0).any()


@pytest.mark.parametrize("further", [{}, {"rotate": 20.0, "jitter": 0.2}])
def test_images_are_augmented_after_they_are_cut_and_stay_in_their_range(further: dict[str, Any]) -> None:
    torch.manual_seed(0)
    found = ImageAugmentation(auto_augment="trivial", **further).augment(pictures(3))
    assert found.shape == (4, 3, HEIGHT, WIDTH)
    assert 0 <= float(found.min()) <= float(found.max()) <= 255
    assert not torch.equal(found.float(), pictures(3).float())
