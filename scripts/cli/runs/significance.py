"""Whether the difference between two runs is more than chance, on the examples that both were tested on."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import bdtr, betaincinv

from lightning_modules.tasks.results.blocks import block_length

Array = np.ndarray[Any, np.dtype[np.float64]]

RESAMPLES = 10_000
MOST_DRAWS = 10**8  # of all resamples together, beyond which there are fewer: a second or two
FEWEST = 1_000  # resamples, whatever they take
FEW = 64  # different values, of which a resample is drawn at once
SEED = 0  # of the resamples, that two calls say the same


class Difference(NamedTuple):
    """How the scores of two runs on the same examples differ.

    Args:
        score: its name.
        first: the mean of the first run.
        second: the mean of the other.
        interval: of second - first, 95 %.
        p: probability of a difference at least as large if the runs were equally good.
        method: of p.
        examples: number of those that both have a score of.
        left_out: number of those that one has none of.
    """

    score: str
    first: float
    second: float
    interval: tuple[float, float]
    p: float
    method: str
    examples: int
    left_out: int


def difference(score: str, first: Array, second: Array, dependent: int = 1) -> Difference | None:
    """Compare two runs by a score of each example.

    Scores that are right or wrong, 1 or 0, are compared by McNemar's exact test, others by the paired bootstrap.

    Args:
        score: its name.
        first: the first run's scores, NaN where it has none.
        second: the other's, of the same examples in the same order.
        dependent: successive examples that share a part of the data, as windows of a series do; 1 if none do.

    Returns:
        None where no example has a score of both.
    """
    both = np.isfinite(first) & np.isfinite(second)
    first, second = first[both], second[both]
    if not len(first):
        return None
    if dependent == 1 and np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all():
        only_first, only_second = int((first > second).sum()), int((second > first).sum())
        p = mcnemar(only_first, only_second)
        method = f"McNemar's exact test: {only_first} right only in A, {only_second} only here"
        low, high = mcnemar_interval(only_first, only_second, len(first))
    else:
        resampled = resampled_means(second - first, dependent)
        p = bootstrap_p(resampled)
        blocks = f" of blocks of {block_length(len(first), dependent)} successive examples" if dependent > 1 else ""
        method = f"paired bootstrap, {len(resampled):,} resamples{blocks}"
        low, high = map(float, np.percentile(resampled, [2.5, 97.5]))
    means = float(first.mean()), float(second.mean())
    return Difference(score, *means, (low, high), p, method, len(first), int((~both).sum()))


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p of McNemar's test (1947, https://doi.org/10.1007/BF02295996): a binomial with p = 1/2.

    Args:
        only_first: number of examples that only the first run has right.
        only_second: number of those that only the other has right.
    """
    total = only_first + only_second
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), total, 0.5))) if total else 1.0


def mcnemar_interval(only_first: int, only_second: int, examples: int) -> tuple[float, float]:
    """The 95 % interval of the difference that goes with `mcnemar`: without 0 if and only if its p is below 0.05.

    It is that of Clopper & Pearson (1934, https://doi.org/10.1093/biomet/26.4.404) for the fraction that only the other
    has right of the examples that one of them has right.

    Args:
        only_first: number of examples that only the first run has right.
        only_second: number of those that only the other has right.
        examples: number of all.
    """
    total = only_first + only_second
    low = betaincinv(only_second, only_first + 1, 0.025) if only_second else 0.0
    high = betaincinv(only_second + 1, only_first, 0.975) if only_first else 1.0
    return float((2 * low - 1) * total / examples + 0.0), float((2 * high - 1) * total / examples + 0.0)


def resampled_means(values: Array, dependent: int = 1) -> Array:
    """The means of bootstrap resamples (Efron 1979, https://doi.org/10.1214/aos/1176344552).

    Of examples that depend on each other, blocks are sampled (Künsch 1989, https://doi.org/10.1214/aos/1176347265).

    Args:
        values: (N,) finite.
        dependent: successive examples that share a part of the data.

    Shapes:
        output (RESAMPLES,), or fewer where N is large.
    """
    generator = np.random.default_rng(SEED)
    length = block_length(len(values), dependent)
    size = round(len(values) / length)
    if length > 1:
        sums = np.concatenate([np.zeros(1), values.cumsum()])
        values = (sums[length:] - sums[:-length]) / length
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= FEW:  # how often each is drawn, exactly
        return generator.multinomial(size, counts / len(values), RESAMPLES) @ distinct / size
    resamples = min(RESAMPLES, max(FEWEST, MOST_DRAWS // size))
    chunks = _chunks(resamples, max(1, 10**6 // size))
    return np.concatenate([values[generator.integers(0, len(values), (count, size))].mean(axis=1) for count in chunks])


def _chunks(total: int, size: int) -> Iterator[int]:
    while total > 0:
        yield min(size, total)
        total -= size


def bootstrap_p(resampled: Array) -> float:
    """The two-sided p of a mean difference of 0, of the resampled differences.

    It is never 0: so many resamples tell no less than 2 / (resamples + 1).
    """
    tail = min(int((resampled <= 0).sum()), int((resampled >= 0).sum()))
    return min(1.0, 2 * (tail + 1) / (len(resampled) + 1))


def interval_of_mean(values: Array) -> tuple[float, float] | None:
    """The 95 % interval of a mean, by the bootstrap; None without a finite value."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    low, high = np.percentile(resampled_means(finite), [2.5, 97.5])
    return float(low), float(high)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p of several comparisons, corrected by Holm's method (1979, https://www.jstor.org/stable/4615733).

    Args:
        p_values: one of each comparison.
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected
