"""Pictures of which classes a classifier confuses, and of the scores of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lightning_modules.tasks.confusion_matrix import class_scores
from lightning_modules.tasks.pictures.figure import BLUE, GREEN, ORANGE, new_figure
from lightning_modules.tasks.pictures.images import CHAR, cut
from lightning_modules.tasks.pictures.labels import width_of
from lightning_modules.tasks.scores import Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_CLASSES = 30  # rows of a matrix; of more classes those that are confused most, and all others together
MAX_NAME = 20  # Latin characters
MAX_NUMBERS = 150  # the largest counts: each takes a millisecond a file, and colours tell the others
GAP = 0.25  # cells between the matrix and its margins


def confusion_picture(confusion: Tensor, names: list[str]) -> Figure:
    """A confusion matrix: counts, coloured by the fraction of their row, with recall and precision at its margins.

    Args:
        confusion: (C, C) counts, a row for each true class, a column for each predicted one.
        names: of the classes.
    """
    confusion = confusion.cpu().long()
    recall, precision = (scores.double() for scores in class_scores(confusion)[1::-1])
    recall = recall.where(confusion.sum(1) > 0, torch.nan)
    precision = precision.where(confusion.sum(0) > 0, torch.nan)
    title = ""
    if len(names) > MAX_CLASSES:
        kept = most_confused(confusion, MAX_CLASSES - 1)
        title = f"the {len(kept)} of {len(names)} classes with the most mistakes"
        confusion, names = grouped(confusion, kept), [*(names[index] for index in kept.tolist()), "all others"]
        none = torch.tensor([torch.nan], dtype=torch.double)  # how well they are told from each other is not shown
        recall, precision = torch.cat([recall[kept], none]), torch.cat([precision[kept], none])
    size = len(names)
    labels = [cut(name, MAX_NAME) for name in names]
    longest = max(map(width_of, [*labels, "precision"])) * CHAR
    cell = 0.6 if size <= 4 else 0.42 if size <= 12 else 0.32
    side = (size + GAP + 1) * cell + longest + 0.6
    figure = new_figure(max(side, len(title) * 0.07), side)
    axes = figure.subplots()
    figure.suptitle(title, fontsize=8)
    axes.set(xlabel="predicted class", ylabel="true class")
    fractions = confusion.double() / confusion.sum(1, keepdim=True).clamp(min=1)
    low, high, near, far = -0.5, size - 0.5, size - 0.5 + GAP, size + 0.5 + GAP
    axes.imshow(fractions.double().numpy(), cmap="Blues", vmin=0, vmax=1, extent=(low, high, high, low))
    axes.imshow(recall[:, None].double().numpy(), cmap="Greens", vmin=0, vmax=1.6, extent=(near, far, high, low))
    axes.imshow(precision[None].double().numpy(), cmap="Greens", vmin=0, vmax=1.6, extent=(low, high, far, near))
    axes.set(xlim=(low, far), ylim=(far, low))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=7)
    places = [*range(size), size + GAP]
    flat = max(map(width_of, labels)) * CHAR <= cell
    axes.set_xticks(places, [*labels, "recall"], rotation=0 if flat else 90)
    axes.set_yticks(places, [*labels, "precision"])
    written = confusion.flatten().argsort(descending=True, stable=True)[: min(MAX_NUMBERS, int((confusion > 0).sum()))]
    for row, column in zip((written // size).tolist(), (written % size).tolist(), strict=True):
        _write(axes, column, row, compact(int(confusion[row, column])), bool(fractions[row, column] > 0.5))
    for index in range(size):
        _write(axes, size + GAP, index, fraction(float(recall[index])))
        _write(axes, index, size + GAP, fraction(float(precision[index])))
    return figure


def _write(axes: Axes, x: float, y: float, text: str, light: bool = False) -> None:
    axes.text(x, y, text, ha="center", va="center", fontsize=7, color="white" if light else "black")


def most_confused(confusion: Tensor, count: int) -> Tensor:
    """The indices of the classes with the most mistakes from or to them, in the order of the classes."""
    mistakes = confusion - confusion.diag().diag()
    return (mistakes.sum(0) + mistakes.sum(1)).argsort(descending=True, stable=True)[:count].sort().values


def grouped(confusion: Tensor, kept: Tensor) -> Tensor:
    """A confusion matrix of some classes, and of all others together as the last one."""
    groups = torch.full((len(confusion),), len(kept))
    groups[kept] = torch.arange(len(kept))
    rows = confusion.new_zeros(len(kept) + 1, len(confusion)).index_add_(0, groups, confusion)
    return confusion.new_zeros(len(kept) + 1, len(kept) + 1).index_add_(1, groups, rows)


def compact(count: int) -> str:
    """A count in at most four characters: 9999 as it is, 12k, 3M."""
    for unit, size in (("M", 10**6), ("k", 10**3)):
        if count >= 10 * size:
            return f"{count // size}{unit}"
    return str(count)


def fraction(value: float) -> str:
    """A score with two decimals, without the zero before the point; a dash where it is undefined."""
    return "–" if value != value else "1" if value == 1 else f"{value:.2f}".lstrip("0") if value < 0.995 else ".99"


def label_bars(scores: Scores, counts: Tensor, names: list[str]) -> Figure:
    """The F1 of each label as a bar, with its precision and recall.

    Args:
        scores: (C,) each.
        counts: (C,) test examples that have the label.
        names: of the labels.
    """
    columns = [values.cpu() for values in scores]
    order = torch.arange(len(names))
    title = "F1 of each label, and in how many examples it is"
    if len(names) > MAX_CLASSES:
        order = columns[2].argsort(stable=True)[:MAX_CLASSES].sort().values
        title = f"the {MAX_CLASSES} of {len(names)} labels with the lowest F1, and in how many examples they are"
    precision, recall, f1 = (values[order].tolist() for values in columns)
    labels = [f"{cut(names[index], MAX_NAME)} ({compact(int(counts[index]))})" for index in order.tolist()]
    width = max(4 + max(map(width_of, labels)) * CHAR, len(title) * 0.07)
    figure = new_figure(width, 1 + 0.25 * len(labels))
    axes = figure.subplots()
    places = range(len(labels))
    axes.barh(places, f1, color=BLUE, alpha=0.35, label="F1")
    axes.plot(precision, places, "|", color=GREEN, markersize=10, markeredgewidth=2, label="precision")
    axes.plot(recall, places, "x", color=ORANGE, markersize=6, label="recall")
    axes.set(xlim=(0, 1.02), ylim=(len(labels) - 0.4, -0.6), xticks=(0, 0.5, 1))
    axes.set_yticks(places, labels)
    figure.suptitle(title, fontsize=8)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure
