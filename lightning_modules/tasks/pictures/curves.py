"""A picture of a classifier's curves: precision over recall, ROC, and reliability."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from lightning_modules.tasks.pictures.figure import COLOURS, GREY, legend_name, new_figure
from lightning_modules.tasks.pictures.images import cut
from lightning_modules.tasks.pictures.labels import width_of
from lightning_modules.tasks.results.curves import (
    Curve,
    mean_curve,
    precision_recall,
    receiver_operating_characteristic,
    reliability,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_CLASSES = 10  # with a curve each
WORST = 5  # of more classes, those with the lowest average precision
MAX_POINTS = 200  # of a curve
MAX_NAME = 18  # Latin characters
TICKS = (0, 0.5, 1)
FEW = 5  # examples, of which a class's fraction says little


class Line(NamedTuple):
    """The curves of a class, or the mean of all of them."""

    label: str
    colour: str
    precision_recall: Curve
    roc: Curve | None  # None where all examples are of the class
    score: Tensor | None = None
    positive: Tensor | None = None


def curves_picture(
    probabilities: Tensor, positive: Tensor, confidence: Tensor, correct: Tensor, names: list[str]
) -> Figure | None:
    """The curves of each class against the others; None where no prediction is finite, or no class occurs.

    Of two classes it is the last one's alone, and of more than ten the mean over the classes and the worst ones.

    Args:
        probabilities: (N, C) of the classes.
        positive: (N, C) whether each example is of the class.
        confidence: (M,) probabilities of what is predicted.
        correct: (M,) whether that is right.
        names: of the classes.
    """
    finite = probabilities.isfinite().all(1)
    lines = lines_of(probabilities[finite], positive[finite], names)
    if not lines:
        return None
    longest = max(width_of(line.label) for line in lines)
    figure = new_figure(10.2 + 0.075 * longest, max(3.4, 0.6 + 0.2 * len(lines)))
    left, middle, right = figure.subplots(1, 3)
    for line in lines:
        bold = {"color": line.colour, "linewidth": 2.2 if line.colour == "black" else 1.2}
        left.plot(*thinned(line.precision_recall), label=line.label, **bold)
        if line.roc is not None:
            middle.plot(*thinned(line.roc), **bold)
    middle.plot([0, 1], [0, 1], ":", color=GREY)
    left.set(xlabel="recall", ylabel="precision", title="precision and recall")
    middle.set(xlabel="false positives", ylabel="true positives", title="ROC")
    draw_reliability(right, confidence[confidence.isfinite()], correct[confidence.isfinite()], lines)
    for axes in (left, middle, right):
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04), aspect="equal", xticks=TICKS, yticks=TICKS)
    missing = f"; {int((~finite).sum())} examples without finite probabilities are left out" * (not finite.all())
    which = f"the mean over the classes, and the {WORST} with the lowest average precision" * (lines[0].score is None)
    which = which or ("the class against the other" if len(lines) == 1 else "each class against the others")
    figure.legend(loc="outside right center", frameon=False, fontsize=8, title_fontsize=8, title="class  AP, AUROC")
    figure.suptitle(f"{which}{missing}", fontsize=8)
    return figure


def lines_of(probabilities: Tensor, positive: Tensor, names: list[str]) -> list[Line]:
    """The curves that are drawn: of classes that occur, the mean first."""
    exclusive = len(names) == 2 and bool((positive.sum(1) == 1).all())
    found: list[Line] = []
    for index in [1] if exclusive and positive[:, 1].any() else range(len(names)):
        score, is_class = probabilities[:, index], positive[:, index]
        if (curve := precision_recall(score, is_class)) is not None:
            roc = receiver_operating_characteristic(score, is_class)
            label = labelled(legend_name(cut(names[index], MAX_NAME)), curve, roc)
            found.append(Line(label, COLOURS[len(found) % len(COLOURS)], curve, roc, score, is_class))
    if len(found) <= MAX_CLASSES:
        return found
    worst = sorted(found, key=lambda line: line.precision_recall.area)[:WORST]
    precisions = mean_curve([line.precision_recall for line in found], stepwise=True)
    roc = mean_curve([line.roc for line in found if line.roc is not None], stepwise=False)
    mean = Line(labelled(f"mean of {len(found)}", precisions, roc), "black", precisions, roc)
    return [mean, *(line._replace(colour=colour) for line, colour in zip(worst, COLOURS, strict=False))]


def labelled(name: str, curve: Curve, roc: Curve | None) -> str:
    """A class with both areas."""
    return f"{name}  {curve.area:.3f}, {'–' if roc is None else f'{roc.area:.3f}'}"


def thinned(curve: Curve) -> tuple[list[float], list[float]]:
    """At most so many points of a curve, of equal distance along it."""
    if len(curve.x) <= MAX_POINTS:
        return curve.x.tolist(), curve.y.tolist()
    steps = (curve.x.diff().abs() + curve.y.diff().abs()).cumsum(0)
    places = torch.linspace(0, float(steps[-1]), MAX_POINTS, dtype=steps.dtype)
    kept = torch.searchsorted(steps, places).clamp(max=len(steps) - 1).add(1)
    kept = torch.cat([kept.new_zeros(1), kept, kept.new_full((1,), len(steps))]).unique()
    return curve.x[kept].tolist(), curve.y[kept].tolist()


def draw_reliability(axes: Axes, confidence: Tensor, correct: Tensor, lines: list[Line]) -> None:
    """The fraction that is right over the probability: of what is predicted as a line, and of each class."""
    axes.plot([0, 1], [0, 1], ":", color=GREY)
    for line in lines:
        if line.score is not None and line.positive is not None:
            of_class = reliability(line.score, line.positive)
            enough = of_class.counts >= FEW
            points = of_class.confidence[enough].tolist(), of_class.accuracy[enough].tolist()
            axes.plot(*points, ".", color=line.colour, alpha=0.7)
    found = reliability(confidence, correct)
    sizes = 4 + 60 * (found.counts / found.counts.sum().clamp(min=1)).sqrt()
    points = found.confidence.tolist(), found.accuracy.tolist()
    axes.plot(*points, color="black", lw=1, label="predictions")
    axes.scatter(*points, s=sizes.tolist(), color="black")
    axes.set(xlabel="probability", ylabel="fraction that is right", title=f"reliability, ECE {found.error:.3f}")
