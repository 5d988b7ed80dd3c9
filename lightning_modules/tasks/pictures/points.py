"""A picture of examples as points in a plane."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lightning_modules.tasks.pictures.figure import COLOURS, GREY, legend_name, new_figure
from lightning_modules.tasks.pictures.images import cut
from lightning_modules.tasks.pictures.labels import width_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_GROUPS = len(COLOURS)  # with a colour each; of more the last one is for all others
MAX_NAME = 20  # Latin characters


def scatter(points: Tensor, groups: Sequence[str], correct: Tensor, title: str, axis_names: Sequence[str]) -> Figure:
    """Points, coloured by group; wrong predictions are crosses.

    Args:
        points: (N, 2)
        groups: N names; the most frequent ones have a colour each.
        correct: (N,) whether each example is predicted rightly.
        title: above the picture.
        axis_names: of both axes.
    """
    counts = Counter(groups)
    ranked = sorted(counts, key=lambda name: (-counts[name], name))
    shown = sorted(ranked[: MAX_GROUPS if len(ranked) <= MAX_GROUPS else MAX_GROUPS - 1])
    longest = max([width_of(cut(name, MAX_NAME)) for name in shown] + [12])
    figure = new_figure(max(5 + 0.08 * longest, 0.065 * len(title)), 4.4)
    axes = figure.subplots()
    coloured = list(zip(shown, COLOURS, strict=False))
    if len(shown) < len(ranked):
        coloured.append(("", GREY))
    for name, colour in coloured:
        belongs = torch.tensor([group == name if name else group not in shown for group in groups])
        label = legend_name(cut(name, MAX_NAME)) if name else f"{len(ranked) - len(shown)} others"
        axes.plot(*points[belongs & correct].T.tolist(), ".", color=colour, markersize=5, alpha=0.7, label=label)
        axes.plot(*points[belongs & ~correct].T.tolist(), "x", color=colour, markersize=5)
    axes.set(xlabel=axis_names[0], ylabel=axis_names[1], xticks=[], yticks=[])
    if not correct.all():
        axes.plot([], [], "x", color="black", markersize=5, label="wrong")
    axes.set_title(title, fontsize=8)
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    return figure
