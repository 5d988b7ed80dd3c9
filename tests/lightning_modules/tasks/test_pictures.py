"""What the dashboard shows of images."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_modules.cnn import CNN
from lightning_modules.mlp import MLP
from lightning_modules.tasks import pictures
from lightning_modules.tasks.task import Board


class Shown(Board):
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.images: dict[str, Tensor] = {}

    def text(self, name: str, markdown: str) -> None:
        self.texts[name] = markdown

    def image(self, name: str, image: Tensor) -> None:
        self.images[name] = image

    def figure(self, name: str, figure: Any) -> None:
        raise AssertionError


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 28, 100])
def test_a_grid_holds_each_image_from_0_to_1(channels, size):
    images = 5 * torch.randn(5, channels, size, size) + 3
    grid = pictures.grid(images, columns=3)
    times = max(1, -(-56 // size))
    side = size * times + 2
    assert grid.shape == (3, 2 * side + 2, 3 * side + 2)
    assert (grid.min(), grid.max()) == (0, 1)
    fourth = grid[:channels, side + 2 : 2 * side + 2 : times, 2 : side + 2 : times][:, :size, :size]
    least, most = images.amin((0, 2, 3)), images.amax((0, 2, 3))
    torch.testing.assert_close(fourth, (images[3] - least[:, None, None]) / (most - least)[:, None, None])


def test_images_of_one_colour_are_shown_too():
    assert pictures.grid(torch.zeros(2, 1, 4, 4)).isfinite().all()


def test_a_table_has_the_grids_layout():
    assert pictures.table(["猫", "a|b", "c", "d", "e"], columns=3).splitlines() == [
        "| 猫 | a\\|b | c |",
        "| --- | --- | --- |",
        "| d | e |  |",
    ]


def test_the_worst_come_first():
    probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.01, 0.99]])
    order, texts = pictures.worst(probabilities.log(), torch.tensor([0, 0, 0, 1]), ["猫", "dog"], most=3)
    assert order.tolist() == [1, 2, 0]
    assert texts == ["猫, taken for dog (80 %)", "猫 (60 %)", "猫 (90 %)"]


def test_a_classifier_shows_its_worst_mistakes_among_images_and_nothing_of_tables():
    board = Shown()
    model = CNN(in_channels=1, image_size=8, num_classes=3, class_names=["猫", "dog", "海马"]).eval()
    model.show((torch.randn(20, 1, 8, 8), torch.randint(0, 3, (20,))), board)
    assert board.images.keys() == board.texts.keys() == {"worst mistakes"}
    assert board.texts["worst mistakes"].count("%") == 16
    empty = Shown()
    MLP(4, 3).show((torch.randn(20, 4), torch.randint(0, 3, (20,))), empty)
    assert not empty.images
    assert not empty.texts


def test_classes_are_said_by_name_and_those_of_mixed_images_with_their_shares():
    names = ["猫", "dog", "bird"]
    assert pictures.classes(torch.tensor([2, 0]), names) == ["bird", "猫"]
    shares = torch.tensor([[0.3, 0.7, 0.0], [0.0, 0.0, 1.0]])
    assert pictures.classes(shares, names) == ["dog 70 %, 猫 30 %", "bird"]


def test_a_grid_may_leave_colours_as_they_are():
    images = torch.full((2, 3, 60, 60), 0.25)
    assert set(pictures.grid(images, stretch=False).unique().tolist()) == {0.25, 0.5}  # 0.5 between them
