"""Pictures of forecasts: what they show, and that nothing of it is cut off."""

from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from lightning_modules.tasks.pictures.figure import style
from lightning_modules.tasks.pictures.series import Window, error_by_step, forecasts, strip
from tests.helpers.cut_off import cut_off

LONG = "平均气温 in degrees Celsius, $measured$ at two metres above the ground, before noon " * 3


def dates(size: int) -> Any:
    return np.datetime64("2024-03-30T12:00", "ms") + np.arange(size) * np.timedelta64(3600, "s")


def window(past: int = 20, horizon: int = 5, dated: bool = True, value: float = 1.0) -> Window:
    truth = value * torch.arange(horizon).float()
    return Window(torch.ones(past), truth, truth + 1, LONG, dates(past + horizon) if dated else None)


@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize(("count", "horizon"), [(1, 1), (3, 5)])
def test_windows_are_drawn_with_their_dates_and_nothing_is_cut_off(dated: bool, count: int, horizon: int) -> None:
    with style():
        figure = forecasts([[window(horizon=horizon, dated=dated)] * 2] * count, LONG)
    assert not cut_off(figure)
    past, truth, forecast, _ = figure.axes[0].lines
    times = dates(20 + horizon) if dated else np.arange(-20, horizon)
    np.testing.assert_array_equal(past.get_xdata(orig=True), times[:20])
    np.testing.assert_array_equal(truth.get_xdata(orig=True), times[20:])
    np.testing.assert_array_equal(forecast.get_ydata(), np.arange(horizon) + 1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
def test_forecasts_that_are_no_numbers_and_constant_targets_are_drawn(value: float) -> None:
    with style():
        for figure in (
            forecasts([[window(value=value)]], "x"),
            strip(torch.zeros(30, 5), torch.full((30, 5), value), dates(150).reshape(30, 5)),
            error_by_step({"model": [value] * 5}),
        ):
            assert isinstance(figure, Figure)
            assert not cut_off(figure)


def test_a_strip_has_the_truth_once_and_complete_forecasts_one_after_the_other() -> None:
    size, horizon = 7, 3
    series = torch.arange(size + horizon - 1).float()
    truth = series.unfold(0, horizon, 1)
    times = np.lib.stride_tricks.sliding_window_view(dates(size + horizon - 1), horizon)
    with style():
        figure = strip(truth, truth + 0.5, times, LONG, LONG)
    above, below = figure.axes
    whole, one = above.lines
    np.testing.assert_array_equal(whole.get_xdata(orig=True), dates(size + horizon - 1))
    np.testing.assert_array_equal(whole.get_ydata(), series)
    np.testing.assert_array_equal(one.get_ydata(), series[:size] + 0.5)
    np.testing.assert_array_equal(one.get_xdata(orig=True), dates(size))
    values = below.lines[1].get_ydata()
    np.testing.assert_array_equal(values, [0.5, 1.5, 2.5, np.nan, 3.5, 4.5, 5.5, np.nan, 6.5, 7.5, 8.5, np.nan])
    assert not cut_off(figure)


@pytest.mark.parametrize("steps", [1, 24])
def test_errors_by_step_have_a_curve_each_and_begin_at_zero(steps: int) -> None:
    errors = {"model": [1.0] * steps, "last value": [2.0] * steps, LONG: [3.0] * steps}
    with style():
        figure = error_by_step(errors, LONG)
    axes = figure.axes[0]
    assert [np.asarray(line.get_ydata())[0] for line in axes.lines] == [1, 2, 3]
    assert axes.get_ylim()[0] == 0
    assert not cut_off(figure)
