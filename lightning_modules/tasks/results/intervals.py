"""Confidence intervals of a test's scores: percentile bootstrap over its examples.

Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13: as many examples as there are, are sampled with
replacement, the score is computed of them, and the interval holds the middle 95 % of such scores. Of examples that
follow each other in time, blocks are sampled: Künsch 1989, https://doi.org/10.1214/aos/1176347265.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from lightning_modules.tasks.results.blocks import block_length

Interval = tuple[float, float]
Intervals = dict[str, Interval]
Scores = dict[str, Tensor]

REPLICATES = 1000
MIN_REPLICATES = 200
WORK = 2 * 10**7  # sampled examples of all replicates together, which take about a second
CHUNK = 2**22  # weights in memory at once
LEVEL = 0.95


def replicates_of(size: int) -> int:
    """How many replicates of so many examples are affordable."""
    return int(np.clip(WORK // max(size, 1), MIN_REPLICATES, REPLICATES))


def weights_of(size: int) -> Iterator[Tensor]:
    """How often each example is in each replicate, (R, N) at a time; the same for the same size."""
    random = np.random.default_rng(0)
    left, at_once = replicates_of(size), max(1, CHUNK // max(size, 1))
    while left:
        rows = [np.bincount(random.integers(0, size, size), minlength=size) for _ in range(min(at_once, left))]
        left -= len(rows)
        yield torch.from_numpy(np.stack(rows)).double()


def middle(replicates: Scores) -> Intervals:
    """The middle 95 % of each score's replicates, (R,)."""
    tail = (1 - LEVEL) / 2
    return {
        name: (float(low), float(high))
        for name, values in replicates.items()
        if not values.isnan().all()
        for low, high in [np.nanquantile(values.double().numpy(), [tail, 1 - tail])]
    }


def of_weights(size: int, score: Callable[[Tensor], Scores]) -> Intervals:
    """Intervals of scores that can be computed from weighted examples.

    Args:
        size: N
        score: the scores (R,) from weights (R, N).
    """
    if not size:
        return {}
    parts = [score(weights) for weights in weights_of(size)]
    return middle({name: torch.cat([part[name] for part in parts]) for name in parts[0]})


def of_sums(statistics: Tensor, score: Callable[[Tensor], Scores]) -> Intervals:
    """Intervals of scores that are functions of sums over the examples, as means are.

    Args:
        statistics: (N, S) of each example.
        score: the scores (R,) from sums (R, S).
    """
    statistics = statistics.double()
    return of_weights(len(statistics), lambda weights: score(weights @ statistics))


def of_blocks(statistics: Tensor, score: Callable[[Tensor], Scores], block: int) -> Intervals:
    """Intervals of scores that are functions of means over examples of which successive ones resemble each other.

    The moving-block bootstrap: blocks of successive examples are sampled with replacement, so that the dependence in
    a block is that of the data. Sampled examples as they are, the interval would be too narrow.

    Args:
        statistics: (N, S) of each example, in the order of time.
        score: the scores (R,) from sums (R, S); it divides by one of them, for their number differs from N.
        block: successive examples that depend on each other; of less than ten such blocks, shorter ones are sampled.
    """
    size = len(statistics)
    length = block_length(size, block)
    if size < 2 * length:
        return {}  # one block, or hardly more: nothing varies
    before = torch.cat([statistics.new_zeros(1, statistics.shape[1]), statistics]).double().cumsum(0)
    blocks = before[length:] - before[:-length]  # (N - L + 1, S)
    random = np.random.default_rng(0)
    count = round(size / length)
    drawn = [random.integers(0, len(blocks), count) for _ in range(replicates_of(count))]
    return middle(score(torch.stack([blocks[torch.from_numpy(rows)].sum(0) for rows in drawn])))


def of_means(values: dict[str, Tensor]) -> Intervals:
    """Intervals of the means of (N,) values."""
    if not values:
        return {}
    size = len(next(iter(values.values())))
    return of_sums(
        torch.stack([each.double() for each in values.values()], dim=1),
        lambda sums: dict(zip(values, (sums / size).unbind(1), strict=True)),
    )


def of_pairs(true: Tensor, predicted: Tensor, num_classes: int, score: Callable[..., Scores]) -> Intervals:
    """Intervals of scores that follow from a confusion matrix.

    Sampling examples is sampling the matrix' counts from a multinomial distribution.

    Args:
        true: (N,) classes.
        predicted: (N,) classes.
        num_classes: C
        score: the scores (R,) from the correct, predicted and true examples of each class, (R, C) each.
    """
    cells, counts = (true * num_classes + predicted).unique(return_counts=True)
    size = int(counts.sum())
    if not size:
        return {}
    random = np.random.default_rng(0)
    sampled = random.multinomial(size, counts.double().numpy() / size, replicates_of(len(cells)))
    drawn, (rows, columns) = torch.from_numpy(sampled).double(), (cells // num_classes, cells % num_classes)

    def by_class(classes: Tensor, values: Tensor) -> Tensor:
        return values.new_zeros(len(values), num_classes).index_add_(1, classes, values)

    return middle(score(by_class(rows, drawn * (rows == columns)), by_class(columns, drawn), by_class(rows, drawn)))


class Ranking:
    """Areas under the curves of a score that is to tell positive examples from others, of weighted examples.

    Equal scores are one threshold, as in scikit-learn's functions of the same names.

    Args:
        score: (N,)
        positive: (N,) whether each example is.
    """

    def __init__(self, score: Tensor, positive: Tensor) -> None:
        self.order = score.argsort(descending=True)
        ordered = score[self.order]
        self.positive = positive[self.order].double()
        self.last = torch.cat([ordered[1:] != ordered[:-1], torch.tensor([True])]).nonzero()[:, 0]

    def counts(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """True and false positives at each threshold, (R, T) each."""
        weights = weights[:, self.order]
        true = (weights * self.positive).cumsum(1)[:, self.last]
        return true, weights.cumsum(1)[:, self.last] - true

    def average_precision(self, weights: Tensor) -> Tensor:
        """(R,) the mean precision, weighted by the increase in recall; NaN without a positive example."""
        true, false = self.counts(weights)
        gained = true.diff(dim=1, prepend=torch.zeros_like(true[:, :1]))
        return (gained * true / (true + false).clamp(min=1e-12)).sum(1) / true[:, -1]

    def auroc(self, weights: Tensor) -> Tensor:
        """(R,) the area under the curve of true over false positives; NaN where either class is missing."""
        true, false = self.counts(weights)
        before = torch.cat([torch.zeros_like(true[:, :1]), true[:, :-1]], dim=1)
        width = false.diff(dim=1, prepend=torch.zeros_like(false[:, :1]))
        return (width * (true + before) / 2).sum(1) / (true[:, -1] * false[:, -1])
