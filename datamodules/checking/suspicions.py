"""What in a data set is likely a mistake: no error, for it may be meant, but worth a look."""

import re
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.checking.neighbours import Neighbours, nearest
from datamodules.files.splits import listed

FEW = 10  # training examples of a class, below which it is hardly learned
SHOWN = 5  # examples that are named
K = 10  # neighbours that contradict a label
ALIKE_IMAGES = 0.004  # a correlation of 0.998 between their thumbnails
ALIKE_TEXTS = 0.15  # a cosine of 0.92 between their words: about one of twenty is another
RELIABLE = 0.95  # of the labels on which all neighbours agree: otherwise the neighbours say nothing about labels
MIN_EXAMPLES = 50  # below which neighbours are not asked

Origin = Callable[[int], str]


class Compared(NamedTuple):
    """Examples as vectors whose distances tell how much they differ.

    Args:
        vectors: (N, D), a dense array or a sparse CSR matrix.
        alike: squared distance up to which two are likely the same example.
        key: (N,) what has to be equal, too; None where nothing has.
    """

    vectors: Any
    alike: float
    key: NDArray[Any] | None = None

    def same(self, rows: NDArray[np.int64], near: NDArray[np.int64], distance: NDArray[Any]) -> Any:
        """Which neighbours (N, K) of rows (N,) likely are the same examples as these."""
        same = distance <= self.alike
        return same if self.key is None else same & (self.key[near] == self.key[rows][:, None])


def of_classes(classes: dict[str, list[int]]) -> list[str]:
    """Small classes, and classes that may be one.

    Args:
        classes: of each class, its examples to train, validate and test on.
    """
    found = []
    if small := [f"{name} ({counts[0]})" for name, counts in classes.items() if counts[0] < FEW]:
        found.append(f"classes with less than {FEW} examples to train on: {listed(small)}")
    for split, index in (("validation", 1), ("test", 2)):
        missing = [name for name, counts in classes.items() if counts[0] >= FEW and not counts[index]]
        if missing:
            found.append(
                f"classes without an example in the {split} split, so that no score covers them: {listed(missing)}"
            )
    alike: dict[str, list[str]] = {}
    for name in classes:
        if any(map(str.isalpha, name)):
            alike.setdefault(re.sub(r"[\W_]+", "", name.lower()), []).append(name)
    for names in alike.values():
        if len(names) > 1:
            found.append(f"classes that may be one: {' and '.join(map(repr, names))}")
    return found


def duplicates(compared: Compared, rows: dict[str, NDArray[np.int64]], origin: Origin) -> list[str]:
    """Examples of the validation and test splits that likely are in the training split, too.

    Args:
        compared: examples.
        rows: positions among them, of each split.
        origin: where the example at a position is from.
    """
    found = []
    for split in ("val", "test"):
        if not len(rows[split]) or not len(rows["train"]):
            continue
        known = rows["train"]
        near = nearest(compared.vectors[rows[split]], compared.vectors[known], min(K, len(known)))
        same = compared.same(rows[split], known[near.rows], near.distance)
        pairs = np.flatnonzero(same.any(1))
        if len(pairs):
            shown = [
                f"{origin(int(rows[split][pair]))} and {origin(int(known[near.rows[pair, same[pair].argmax()]]))}"
                for pair in pairs[:SHOWN]
            ]
            count = f"{len(pairs):,} of {len(rows[split]):,} examples of the {split} split"
            found.append(
                f"likely duplicates: {count} hardly differ from one to train on: {listed_of(shown, len(pairs))}"
            )
    return found


def wrong_labels(compared: Compared, labels: NDArray[np.int64], names: Sequence[str], origin: Origin) -> list[str]:
    """Equal examples of different classes, and examples whose neighbours all are of another class than they are.

    Args:
        compared: examples.
        labels: the class index of each.
        names: of the classes.
        origin: where the example at a position is from.
    """
    if len(labels) < MIN_EXAMPLES:
        return []
    near = nearest(compared.vectors, compared.vectors, K, same=True)
    other = labels[near.rows] != labels[:, None]
    other &= compared.same(np.arange(len(labels)), near.rows, near.distance)
    twice = np.flatnonzero(other.any(1))
    found = []
    if len(twice):
        pairs = {frozenset((row, int(near.rows[row, other[row].argmax()]))): None for row in twice.tolist()}
        first = [sorted(pair) for pair in islice(pairs, SHOWN)]  # to find out where an example is from may take a pass
        shown = [" and ".join(f"{origin(row)} is {names[labels[row]]}" for row in pair) for pair in first]
        count = f"{len(twice):,} of {len(labels):,} examples"
        found.append(f"likely duplicates of different classes: {count}: {listed_of(shown, len(pairs))}")
    return found + _contradicted(near, labels, names, origin)


def _contradicted(near: Neighbours, labels: NDArray[np.int64], names: Sequence[str], origin: Origin) -> list[str]:
    of_neighbours = labels[near.rows]
    agreed = (of_neighbours == of_neighbours[:, :1]).all(1)
    wrong = np.flatnonzero(agreed & (of_neighbours[:, 0] != labels))
    if not len(wrong) or 1 - len(wrong) / agreed.sum() < RELIABLE:
        return []
    shown = [
        f"{origin(row)} is {names[labels[row]]}, these are {names[of_neighbours[row, 0]]}"
        for row in wrong[:SHOWN].tolist()
    ]
    count = f"{len(wrong):,} of {len(labels):,} examples, in class unlike all {K} that are most like them"
    return [f"labels that may be wrong: {count}: {listed_of(shown, len(wrong))}"]


def listed_of(shown: Sequence[str], total: int) -> str:
    """Some of several things, and how many more there are."""
    shown = shown[:SHOWN]
    return "; ".join(shown) + (f"; and {total - len(shown):,} more" if total > len(shown) else "")
