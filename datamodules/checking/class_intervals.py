"""A decision tree on one number, without the second that importing scikit-learn takes."""

import heapq

import numpy as np
from numpy.typing import NDArray


def class_intervals(
    values: NDArray[np.float64], labels: NDArray[np.int64], most: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Cut a number's range into intervals, the next cut always where it lowers the Gini impurity most.

    Breiman et al. 1984, Classification and Regression Trees.

    Args:
        values: (N,) finite numbers.
        labels: (N,) class of each.
        most: intervals at most.

    Returns:
        The ends of all intervals but the last, which belong to them, and the majority class of each interval.
    """
    order = np.argsort(values, kind="stable")
    values, labels = values[order], labels[order]
    cuts = [0, len(values)]  # of the sorted values
    waiting: list[tuple[float, int, int, int]] = []  # the less the gain, the later

    def consider(start: int, stop: int) -> None:
        gain, cut = _best_cut(values[start:stop], labels[start:stop])
        if gain > 0:
            heapq.heappush(waiting, (-gain, start, start + cut, stop))

    consider(0, len(values))
    while waiting and len(cuts) <= most:
        _, start, cut, stop = heapq.heappop(waiting)
        cuts.append(cut)
        consider(start, cut)
        consider(cut, stop)
    cuts.sort()
    inner = np.array(cuts[1:-1], np.int64)
    parts = np.split(labels, inner)
    return (values[inner - 1] + values[inner]) / 2, np.array([np.bincount(part).argmax() for part in parts])


def _best_cut(values: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[float, int]:
    """By how much the best cut of sorted values lowers their impurity, and how many of them are before it."""
    places = np.flatnonzero(values[1:] > values[:-1])
    if not len(places):
        return 0.0, 0
    totals = np.bincount(labels)
    earlier = _earlier(labels)
    # sums of squares of the classes' counts, before and after each value: one more of n raises n² by 2n + 1
    before = (2 * earlier + 1).cumsum()
    whole = np.square(totals).sum()
    after = whole - (2 * (totals[labels] - earlier) - 1).cumsum()
    sizes = np.arange(1, len(labels) + 1)
    gains = before[places] / sizes[places] + after[places] / (len(labels) - sizes[places]) - whole / len(labels)
    best = int(gains.argmax())
    return float(gains[best]), int(places[best]) + 1


def _earlier(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of each label's class are before it."""
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    starts = counts.cumsum() - counts
    earlier = np.empty_like(labels)
    earlier[order] = np.arange(len(labels)) - starts[labels[order]]
    return earlier
