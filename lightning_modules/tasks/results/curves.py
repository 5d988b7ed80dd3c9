"""The curves of a classifier: precision over recall, ROC, and how often a probability is right."""

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_modules.tasks.results.intervals import Ranking

NUM_BINS = 10  # of probabilities; the paper has 15, for more examples
GRID = 101  # places at which the curves of several classes are averaged


class Curve(NamedTuple):
    """Points of a curve from left to right, and its area.

    Args:
        x: (T,)
        y: (T,)
        area: average precision, or the area under the ROC curve.
    """

    x: Tensor
    y: Tensor
    area: float


class Reliability(NamedTuple):
    """How often predictions of each bin of probabilities are right.

    Args:
        confidence: (bins that have examples,) their mean probability.
        accuracy: the fraction that is right.
        counts: of examples.
        error: the expected calibration error, `Σ n_b / N · |accuracy - confidence|` (Guo et al. 2017, equation 3,
            https://arxiv.org/abs/1706.04599).
    """

    confidence: Tensor
    accuracy: Tensor
    counts: Tensor
    error: float


def precision_recall(score: Tensor, positive: Tensor) -> Curve | None:
    """Precision over recall, from the highest threshold to the lowest; None without a positive example.

    Args:
        score: (N,), finite.
        positive: (N,) whether each example is.
    """
    if not positive.any():
        return None
    ranking, weights = Ranking(score, positive), torch.ones(1, len(score), dtype=torch.double)
    (true,), (false,) = ranking.counts(weights)
    one = true.new_ones(1)
    recall, precision = torch.cat([0 * one, true / true[-1]]), torch.cat([one, true / (true + false)])
    return Curve(recall, precision, float(ranking.average_precision(weights)))


def receiver_operating_characteristic(score: Tensor, positive: Tensor) -> Curve | None:
    """True over false positives, as fractions; None where all examples are positive, or none.

    Args:
        score: (N,), finite.
        positive: (N,) whether each example is.
    """
    if positive.all() or not positive.any():
        return None
    ranking, weights = Ranking(score, positive), torch.ones(1, len(score), dtype=torch.double)
    (true,), (false,) = ranking.counts(weights)
    zero = true.new_zeros(1)
    x, y = torch.cat([zero, false / false[-1]]), torch.cat([zero, true / true[-1]])
    return Curve(x, y, float(ranking.auroc(weights)))


def mean_curve(curves: list[Curve], stepwise: bool) -> Curve:
    """The mean of several curves at the same places, and of their areas.

    Args:
        curves: at least one.
        stepwise: take the next point's value between two points, as the average precision does; otherwise interpolate
            linearly, as the area under the ROC curve does.
    """
    grid = torch.linspace(0, 1, GRID, dtype=torch.double)
    rows = torch.stack([_values(curve, grid, stepwise) for curve in curves])
    return Curve(grid, rows.mean(0), sum(curve.area for curve in curves) / len(curves))


def _values(curve: Curve, grid: Tensor, stepwise: bool) -> Tensor:
    right = torch.searchsorted(curve.x, grid).clamp(max=len(curve.x) - 1)
    if stepwise:
        return curve.y[right]
    left = (right - 1).clamp(min=0)
    width = curve.x[right] - curve.x[left]
    part = torch.where(width > 0, (grid - curve.x[left]) / width.clamp(min=1e-12), torch.ones_like(width))
    return curve.y[left] + part * (curve.y[right] - curve.y[left])


def reliability(confidence: Tensor, correct: Tensor, num_bins: int = NUM_BINS) -> Reliability:
    """How often predictions are right, in bins of equal width of their probability.

    Args:
        confidence: (N,) from 0 to 1.
        correct: (N,) whether each prediction is.
        num_bins: each includes its upper bound.
    """
    confidence = confidence.double()
    bins = (confidence * num_bins).ceil().long().sub(1).clamp(0, num_bins - 1)
    counts = torch.bincount(bins, minlength=num_bins)
    kept, size = counts > 0, counts.clamp(min=1)
    means = torch.bincount(bins, confidence, num_bins) / size
    right = torch.bincount(bins, correct.double(), num_bins) / size
    error = (counts * (right - means).abs()).sum() / max(len(confidence), 1)
    return Reliability(means[kept], right[kept], counts[kept], float(error))
