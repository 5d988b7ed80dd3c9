"""The picture of examples as points."""

import numpy as np
import pytest
import torch

from lightning_modules.tasks.pictures.figure import figure_file, style
from lightning_modules.tasks.pictures.points import scatter
from tests.helpers.picture_texts import outside

AXES = ["principal component 1 (20 %)", "principal component 2 (10 %)"]


@pytest.mark.parametrize(("groups", "entries"), [(1, 1), (2, 2), (10, 10), (100, 10)])
def test_the_most_frequent_groups_have_colours_and_the_others_one(groups: int, entries: int) -> None:
    names = [f"非常长的中文类别名称非常长的中文类别名称{index % groups}" for index in range(400)]
    points, correct = torch.randn(400, 2, generator=torch.Generator().manual_seed(0)), torch.arange(400) % 5 > 0
    with style():
        figure = scatter(points, names, correct, "features of 400 of 3000 test examples, by their true class", AXES)
    assert outside(figure) == []
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(labels) == entries + 1
    assert ("91 others" in labels) == (groups == 100)
    assert labels[-1] == "wrong"
    drawn = {"x": 0, ".": 0}
    for line in figure.axes[0].lines:
        drawn[str(line.get_marker())] += np.size(line.get_xdata())
    assert drawn == {"x": 80, ".": 320}
    assert len(figure_file(figure, "svg")) < 150_000


def test_perfect_predictions_need_no_legend_for_mistakes() -> None:
    with style():
        figure = scatter(torch.zeros(3, 2), ["_a", "b", "_a"], torch.ones(3, dtype=torch.bool), "", AXES)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [" _a", "b"]
