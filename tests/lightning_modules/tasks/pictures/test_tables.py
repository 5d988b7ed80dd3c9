"""Pictures of tables: whole, with any names and numbers."""

from typing import Any

import numpy as np
import pytest
import torch

from lightning_modules.tasks.pictures.figure import style
from lightning_modules.tasks.pictures.tables import MAX_POINTS, bars, residuals
from tests.helpers.cut_off import cut_off

LONG = "近海距离 of the district, in $thousands$ of miles\nor so " * 4


@pytest.mark.parametrize("count", [1, 2, 40])
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9, 0.0])
def test_bars_are_whole_and_as_long_as_their_values(count: int, scale: float) -> None:
    values = [scale * (count / 2 - index) for index in range(count)]
    names = [f"{index} {LONG}" for index in range(count)]
    with style():
        figure = bars(names, values, [abs(value) / 3 for value in values], "title\nsecond line", "increase")
    axes = figure.axes[0]
    patches: Any = axes.patches
    assert [patch.get_width() for patch in patches] == values
    assert not cut_off(figure)
    low, high = axes.get_ylim()
    assert low > high, "the first is at the top"


@pytest.mark.parametrize("size", [0, 1, 5, 3 * MAX_POINTS])
def test_residuals_are_differences_and_at_most_so_many_points(size: int) -> None:
    true = torch.arange(size).float()
    with style():
        figure = residuals(true, true + 1, LONG)
    against, spread, counts = figure.axes
    points: Any = [np.asarray(axes.collections[0].get_offsets()) for axes in (against, spread)]
    assert len(points[0]) == min(size, MAX_POINTS)
    np.testing.assert_allclose(points[1][:, 1], 1, atol=1e-3)
    heights: Any = counts.patches
    assert sum(patch.get_height() for patch in heights) == size
    assert not cut_off(figure)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_predictions_that_are_no_numbers_are_counted(value: float) -> None:
    predicted = torch.tensor([1.0, value, 3.0])
    with style():
        figure = residuals(torch.ones(3), predicted, "y")
        every = residuals(torch.ones(3), torch.full((3,), value), "y")
    assert figure.get_suptitle() == "2 test examples; 1 predictions are no numbers, and left out"
    assert not cut_off(every)
