"""Pictures of tables: the importance of columns, coefficients of a linear model, and residuals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lightning_modules.tasks.pictures.figure import BLUE, GREY, RED, limit_ticks, new_figure
from lightning_modules.tasks.pictures.labels import label, labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_POINTS = 2000  # of a scatter plot
BINS = 40
BAR = 0.22  # inches of a row of bars


def bars(
    names: Sequence[str], values: Sequence[float], errors: Sequence[float] | None, title: str, axis: str
) -> Figure:
    """Horizontal bars, the first at the top; negative ones in another colour.

    Args:
        names: of each bar.
        values: their lengths.
        errors: half the length of their error bars; none by default.
        title: of the picture; a line break begins a new line.
        axis: what the values are.
    """
    figure = new_figure(7.5, 1.2 + BAR * len(names))
    axes = figure.subplots()
    places = np.arange(len(names))
    colours = [BLUE if value >= 0 else RED for value in values]
    axes.barh(places, values, 0.7, xerr=errors, color=colours, error_kw={"elinewidth": 0.9, "ecolor": "0.3"})
    axes.set_yticks(places, labels(names), fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.axvline(0, color="0.3", linewidth=0.8)
    limit_ticks(axes.xaxis, 6)
    axes.set_xlabel(axis)
    figure.suptitle(title, fontsize=9)
    return figure


def residuals(true: Tensor, predicted: Tensor, unit: str = "") -> Figure:
    """Predictions against true values, residuals against predictions, and how often each residual is.

    Args:
        true: (N,)
        predicted: (N,)
        unit: what the values are.
    """
    finite = true.isfinite() & predicted.isfinite()
    lost = int((~finite).sum())
    y, guess = (part[finite].double().numpy() for part in (true, predicted))
    error = guess - y
    some = torch.linspace(0, len(y) - 1, min(len(y), MAX_POINTS)).round().long().numpy()
    name = f" {label(unit, 24)}" if unit else ""
    figure = new_figure(11.5, 3.7)
    against, spread, counts = figure.subplots(1, 3)
    against.scatter(y[some], guess[some], s=9, color=BLUE, alpha=0.45, linewidths=0, rasterized=True)
    if len(y):
        ends = [min(y.min(), guess.min()), max(y.max(), guess.max())]
        against.plot(ends, ends, color="0.3", linewidth=0.8)
    against.set_xlabel(f"true{name}")
    against.set_ylabel(f"predicted{name}")
    spread.scatter(guess[some], error[some], s=9, color=BLUE, alpha=0.45, linewidths=0, rasterized=True)
    spread.axhline(0, color="0.3", linewidth=0.8)
    spread.set_xlabel(f"predicted{name}")
    spread.set_ylabel("residual: predicted - true")
    if len(y):
        counts.hist(error, bins=min(BINS, max(5, int(len(y) ** 0.5))), color=GREY)
    counts.axvline(0, color="0.3", linewidth=0.8)
    counts.set_xlabel("residual: predicted - true")
    counts.set_ylabel("test examples")
    limit_ticks(counts.yaxis, integer=True)
    for axes in (against, spread, counts):
        limit_ticks(axes.xaxis, 5)
    title = f"{len(y):,} test examples"
    if len(some) < len(y):
        title += f", {len(some):,} of them drawn as points"
    if lost:
        title += f"; {lost:,} predictions are no numbers, and left out"
    figure.suptitle(title, fontsize=9)
    return figure
