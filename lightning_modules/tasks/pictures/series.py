"""Pictures of forecasts: beside the truth, along a long part of a series, and their error by step ahead."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from torch import Tensor

from lightning_modules.tasks.pictures.figure import BLUE, COLOURS, GREY, RED, limit_ticks, new_figure
from lightning_modules.tasks.pictures.labels import label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRUTH = "black"
COLUMN_WIDTH, ROW_HEIGHT = 5.5, 1.9  # inches of a window
STRIP_WIDTH, STRIP_HEIGHT = 14, 2.4  # inches
STEPS = "time steps from the forecast's start"


class Window(NamedTuple):
    """A window, what came after it, and what was forecast.

    Args:
        past: (W,)
        truth: (H,)
        forecast: (H,)
        title: of its picture.
        dates: (W + H,) datetime64; None where there are none.
    """

    past: Tensor
    truth: Tensor
    forecast: Tensor
    title: str = ""
    dates: Any = None


def forecasts(rows: Sequence[Sequence[Window]], unit: str = "") -> Figure:
    """A figure of windows, each with its forecast beside the truth.

    Args:
        rows: from top to bottom, the windows side by side.
        unit: what the values are.
    """
    columns = max(map(len, rows))
    figure = new_figure(columns * COLUMN_WIDTH if columns > 1 else 8, len(rows) * ROW_HEIGHT + 0.3)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes in grid.flat:
        axes.set_visible(False)
    for row, windows in zip(grid, rows, strict=True):
        for axes, window in zip(row, windows, strict=False):
            axes.set_visible(True)
            _draw(axes, window)
            axes.set_title(label(window.title, 64))
    if all(window.dates is None for windows in rows for window in windows):
        figure.supxlabel(STEPS, fontsize=9)
    if unit:
        figure.supylabel(label(unit), fontsize=9)
    lines, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside upper right", ncols=3, fontsize=8, frameon=False)
    return figure


def _draw(axes: Axes, window: Window) -> None:
    past, truth, forecast = (part.float().numpy() for part in window[:3])
    times = np.arange(-len(past), len(truth)) if window.dates is None else window.dates
    before, after = times[: len(past)], times[len(past) :]
    axes.plot(before, past, color=GREY, label="past")
    style: Any = {"marker": "o", "markersize": 3} if len(truth) == 1 else {}  # a line has two points
    axes.plot(after, truth, color=TRUTH, label="truth", **style)
    axes.plot(after, forecast, color=RED, label="forecast", **style)
    axes.axvline(after[0], color="0.85", linewidth=0.8, zorder=0)
    if window.dates is None:
        limit_ticks(axes.xaxis, integer=True)
    else:
        _date_axis(axes)


def _date_axis(axes: Axes) -> None:
    """Dates as short as they can be: what does not change stands once, at the end of the axis."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=7)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def strip(truth: Tensor, prediction: Tensor, times: Any = None, unit: str = "", title: str = "") -> Figure:
    """A long part of a series with the forecasts of the next step, and with complete forecasts one after the other.

    Args:
        truth: (N, H) after successive windows.
        prediction: (N, H)
        times: (N, H) datetime64; None for time steps.
        unit: what the values are.
        title: which part it is.
    """
    size, horizon = truth.shape
    steps = np.arange(1, size + 1)[:, None] + np.arange(horizon) if times is None else times
    whole, values = (np.concatenate([part[:, 0], part[-1, 1:]]) for part in (steps, truth.float().numpy()))
    figure = new_figure(STRIP_WIDTH, STRIP_HEIGHT * (1 + (horizon > 1)) + 0.3)
    rows = figure.subplots(1 + (horizon > 1), squeeze=False, sharex=True, sharey=True)[:, 0]
    found = prediction.float().numpy()
    first = [("one step ahead", steps[:, 0], found[:, 0])]
    gap = np.full((-(-size // horizon), 1), np.nan)  # between a forecast's last value and the next one's first
    several = np.concatenate([found[::horizon], gap], axis=1).ravel()
    at = np.concatenate([steps[::horizon], steps[::horizon, -1:]], axis=1).ravel()
    further = [(f"1 to {horizon} steps ahead, a forecast every {horizon} steps", at, several)] if horizon > 1 else []
    for axes, (what, where, forecast) in zip(rows, first + further, strict=True):
        axes.plot(whole, values, color=TRUTH, linewidth=0.9, label="truth")
        axes.plot(where, forecast, color=RED, linewidth=0.9, label="forecast")
        axes.set_title(what, loc="left")
        axes.margins(x=0.01)
    if times is None:
        rows[-1].set_xlabel("time steps of this part")
    else:
        _date_axis(rows[-1])
    if unit:
        figure.supylabel(label(unit), fontsize=9)
    lines, names = rows[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside upper right", ncols=2, fontsize=8, frameon=False)
    figure.suptitle(label(title, 120), fontsize=9)
    return figure


def error_by_step(errors: Mapping[str, Sequence[float]], unit: str = "") -> Figure:
    """The error of each step ahead as a curve, the model's first.

    Args:
        errors: (H,) mean absolute errors by the name of what forecast; the first is the model.
        unit: what the values are.
    """
    figure = new_figure(6.5, 3.4)
    axes = figure.subplots()
    for index, (name, values) in enumerate(errors.items()):
        colour = BLUE if index == 0 else COLOURS[1 + (index - 1) % (len(COLOURS) - 1)]
        line: Any = {"linewidth": 2} if index == 0 else {"linewidth": 1.2, "linestyle": "--"}
        marker = "o" if len(values) == 1 else None
        axes.plot(range(1, len(values) + 1), values, color=colour, label=label(name), marker=marker, **line)
    finite = [value for values in errors.values() for value in values if math.isfinite(value)]
    axes.set_ylim(0, 1.05 * max(finite, default=0) or 1)
    axes.set_xlim(0.5, max(map(len, errors.values())) + 0.5)
    limit_ticks(axes.xaxis, integer=True)
    axes.set_xlabel("step ahead")
    axes.set_ylabel(f"mean absolute error\n({label(unit)})" if unit else "mean absolute error")
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    return figure
