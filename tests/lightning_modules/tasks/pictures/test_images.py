"""Pictures of images with captions."""

import itertools

import numpy as np
import pytest
import torch

from lightning_modules.tasks.pictures.confusion import confusion_picture
from lightning_modules.tasks.pictures.figure import style
from lightning_modules.tasks.pictures.images import MAX_CHARS, captioned, cut, tail
from lightning_modules.tasks.pictures.labels import width_of
from lightning_modules.tasks.pictures.points import scatter
from tests.helpers.picture_texts import drawn_texts, outside

LONG = "非常长的中文类别名称非常长的中文类别名称\n→ a very long name of a class 99 %\n…folder/图片/image 0001.jpeg"


@pytest.mark.parametrize(("channels", "shape"), [(1, (8, 8)), (3, (20, 60)), (3, (60, 20))])
@pytest.mark.parametrize("count", [1, 3, 16])
def test_captions_are_complete_and_do_not_overlap(channels: int, shape: tuple[int, int], count: int) -> None:
    images = torch.rand(count, channels, *shape, generator=torch.Generator().manual_seed(0))
    with style():
        figure = captioned(images, [LONG] * count, title="what the captions say, which is longer than an image is wide")
    assert outside(figure) == []
    axes = figure.axes[0]
    assert len(axes.images) == count
    last = axes.images[-1].get_array()
    np.testing.assert_array_equal(last, images[-1].permute(1, 2, 0).squeeze(2))
    drawn_texts(figure)
    captions = [text for text in axes.texts if text.get_text().startswith("非")]
    boxes = [text.get_window_extent() for text in captions]
    assert len(boxes) == count
    for image, box in zip(axes.images, boxes, strict=True):
        assert box.y1 <= image.get_window_extent().y0 + 1, "a caption is below its image"
    for one, other in itertools.pairwise(boxes[:8]):
        assert one.x1 < other.x0, "and beside the next one"


def test_rows_have_labels_and_images_without_captions_are_small() -> None:
    images = torch.rand(6, 1, 8, 8)
    with style():
        figure = captioned(images, columns=3, row_labels=["step 1000000", "真实的图像"], title="noise")
        with_captions = captioned(images, ["cat"] * 6, columns=3)
    assert outside(figure) == []
    assert {"step 1000000", "真实的图像", "noise"} <= {text.get_text() for text in drawn_texts(figure)}
    assert figure.get_figheight() < with_captions.get_figheight()


def test_a_text_is_shortened_to_its_width_as_it_is_drawn() -> None:
    assert cut("cat") == "cat"
    assert cut("abcdefghij", 7) == "ab…ghij"
    assert width_of("猫 cat") == 6
    for text in ("x" * 50, "猫" * 50, "ab猫" * 20):
        for short in (cut(text), tail(text)):
            assert MAX_CHARS - 2 <= width_of(short) <= MAX_CHARS
    assert tail("/a/long/path/of/an/image.png", 10) == "…image.png"
    assert tail("image.png") == "image.png"


@pytest.mark.parametrize("name", ["$x^2$ and a$b", r"$\frac", "ไทย 😀", "a\tb\x07"])
def test_names_of_any_characters_are_drawn_without_a_warning(name: str) -> None:
    with style():
        figures = [
            captioned(torch.rand(2, 1, 8, 8), [name, f"{name}\n{tail(name)}"]),
            confusion_picture(torch.ones(2, 2), [name, "dog"]),
            scatter(torch.zeros(2, 2), [name, "dog"], torch.tensor([True, False]), "points", ["x", "y"]),
        ]
    for figure in figures:  # a warning is an error
        assert outside(figure) == []
    if "$" in name:
        assert figures[0].axes[0].texts[0].get_text() == name
        assert not figures[0].axes[0].texts[0].get_parse_math()
