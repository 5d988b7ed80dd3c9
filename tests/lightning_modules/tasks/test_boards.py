"""What a dashboard shows of images, texts and classes."""

import html
import re
import string

import pytest
import torch

from callbacks.loggers.logger import Table
from lightning_modules.cnn import CNN
from lightning_modules.mlp import MLP
from lightning_modules.tasks import boards
from lightning_modules.tasks.confusion_matrix import confusion_table
from tests.helpers.recorded_board import RecordedBoard


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 28, 100])
def test_a_grid_contains_each_image_scaled_to_0_to_1(channels: int, size: int) -> None:
    images = 5 * torch.randn(5, channels, size, size) + 3
    grid = boards.grid(images, columns=3)
    times = max(1, -(-56 // size))
    side = size * times + 2
    assert grid.shape == (3, 2 * side + 2, 3 * side + 2)
    assert (float(grid.min()), float(grid.max())) == (0, 1)
    fourth = grid[:channels, side + 2 : 2 * side + 2 : times, 2 : side + 2 : times][:, :size, :size]
    low, high = images.amin((0, 2, 3)), images.amax((0, 2, 3))
    torch.testing.assert_close(fourth, (images[3] - low[:, None, None]) / (high - low)[:, None, None])


def test_a_grid_of_images_of_one_colour_is_finite() -> None:
    assert boards.grid(torch.zeros(2, 1, 4, 4)).isfinite().all()


def test_a_grid_may_keep_the_colours() -> None:
    images = torch.full((2, 3, 60, 60), 0.25)
    assert set(boards.grid(images, stretch=False).unique().tolist()) == {0.25, 0.5}  # 0.5 between them


def test_a_table_aligns_and_formats_numbers() -> None:
    rows = [["猫", 3, 0.5, None], ["dog", 10, 1 / 3, 2]]
    assert boards.table(["class", "count", "recall", "rank"], rows).splitlines() == [
        "| class | count | recall | rank |",
        "| --- | ---: | ---: | ---: |",
        "| 猫 | 3 | 0.500 |  |",
        "| dog | 10 | 0.333 | 2 |",
    ]


def test_a_confusion_matrix_has_recall_and_f1_in_its_rows_and_precision_in_its_last() -> None:
    table = confusion_table(torch.tensor([[3, 1], [0, 4]]), ["猫", "a|b"])
    assert table.splitlines() == [
        "| true \\ predicted | 猫 | a\\|b | recall | F1 |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| 猫 | 3 | 1 | 0.750 | 0.857 |",
        "| a\\|b | 0 | 4 | 1.000 | 0.889 |",
        "| precision | 1.000 | 0.800 |  |  |",
    ]


def test_the_examples_whose_true_class_is_least_probable_come_first() -> None:
    probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.01, 0.99]])
    order, labels, right = boards.worst(probabilities.log(), torch.tensor([0, 0, 0, 1]), ["猫", "dog"], count=3)
    assert order.tolist() == [1, 2, 0]
    assert labels == ["猫\n→ dog 80 %", "猫\n→ 猫 60 %", "猫\n→ 猫 90 %"]
    assert right == [False, True, True]


def test_a_classifier_shows_its_worst_mistakes_among_images_and_none_among_tables() -> None:
    board = RecordedBoard()
    model = CNN(in_channels=1, image_size=8, num_classes=3, class_names=["猫", "dog", "海马"]).eval()
    model.show((torch.randn(20, 1, 8, 8), torch.randint(0, 3, (20,))), board)
    assert board.figures.keys() == {"worst mistakes"}
    texts = [text.get_text() for text in board.figures["worst mistakes"].axes[0].texts]
    assert sum("%" in text for text in texts) == 16
    empty = RecordedBoard()
    MLP(4, 3).show((torch.randn(20, 4), torch.randint(0, 3, (20,))), empty)
    assert not empty.figures
    assert not empty.texts


def test_labels_of_mixed_images_have_the_fraction_of_each_class() -> None:
    names = ["猫", "dog", "bird"]
    assert boards.class_labels(torch.tensor([2, 0]), names) == ["bird", "猫"]
    fractions = torch.tensor([[0.3, 0.7, 0.0], [0.0, 0.0, 1.0]])
    assert boards.class_labels(fractions, names) == ["dog 70 %, 猫 30 %", "bird"]


@pytest.mark.parametrize("sign", [*string.punctuation, "&lt;", "<|im_end|>", "<b>", "&amp;amp;", "\\|", "我"])
@pytest.mark.filterwarnings("ignore:html5lib's sanitizer is deprecated")  # when tensorboard's code is imported
def test_a_text_is_shown_as_it_is(sign: str) -> None:
    from tensorboard.plugin_util import markdown_to_safe_html

    for text in (f"a{sign}b", f"{sign}b{sign} a", f"x {sign}{sign} y {sign} z"):
        markdown = boards.table(["text"], [[boards.escape(text)]])
        (cell,) = re.findall(r"<td[^>]*>(.*?)</td>", markdown_to_safe_html(markdown), re.DOTALL)
        assert html.unescape(cell) == text
        table = Table.parse(markdown)
        assert table is not None
        assert table.rows == [[text]]
