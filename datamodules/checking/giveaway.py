"""Columns that give the target away: what is known only once the target is, or the target under another name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datamodules.checking.class_intervals import class_intervals
from datamodules.files.pixels import opened
from datamodules.files.splits import listed
from datamodules.files.table_columns import distinct_strings, is_numeric, numbers

GIVEN_AWAY = 0.98  # of the errors of the trivial answer that a column alone avoids
EXPLAINED = 0.9995  # of the variance of a number
ROWS = 20_000  # that are looked at


ADVICE = "is it known when the target is to be predicted? --data.ignore leaves it out"


def columns_telling_class(table: pa.Table, labels: NDArray[np.int64], target: str) -> list[str]:
    """A line for each column that tells the class of nearly every row.

    Args:
        table: columns of numbers and texts.
        labels: (N,) class of each row.
        target: what these are called.
    """
    told = {name: class_told_by(table[name], labels) for name in table.column_names}
    return [_line(name, target, part) for name, part in told.items() if part > GIVEN_AWAY]


def columns_telling_number(table: pa.Table, values: NDArray[Any], target: str) -> list[str]:
    """A line for each column that tells a number, or for several of which it is the weighted sum.

    Args:
        table: columns of numbers and texts.
        values: (N,) number of each row.
        target: what these are called.
    """
    told = {name: number_told_by(table[name], values) for name in table.column_names}
    found = [_line(name, target, part) for name, part in told.items() if part > EXPLAINED]
    columns = {name: numbers(table[name]) for name in table.column_names if is_numeric(table[name])}
    if not found and (names := formula(columns, values.astype(np.float64))):
        found.append(f"the target {target} is a weighted sum of {listed(names)}; {ADVICE}")
    return found


def _line(name: str, target: str, part: float) -> str:
    return f"column {name} gives the target {target} away: alone it tells {part:.1%} of it; {ADVICE}"


def classes_in_texts(texts: Sequence[str], labels: Sequence[int], names: Sequence[str]) -> list[str]:
    """A line if nearly all texts contain the name of their own class, and hardly any that of another.

    Args:
        texts: the texts.
        labels: the class index of each.
        names: of the classes.
    """
    own = other = 0
    lower = [name.lower() for name in names]
    for text, label in zip(map(str.lower, texts), labels, strict=True):
        own += lower[label] in text
        other += any(name in text for index, name in enumerate(lower) if index != label)
    if min(map(len, lower)) < 2 or own < GIVEN_AWAY * len(texts) or other > own / 2:
        return []
    return [f"{own:,} of {len(texts):,} texts contain the name of their class: it is not to be predicted then"]


def files_telling_class(files: Sequence[Path], labels: NDArray[np.int64]) -> list[str]:
    """A line if the size, the mode and the kind of image files tell the class.

    Args:
        files: of images.
        labels: (N,) class of each.
    """
    kinds = []
    for file in files:
        with opened(file) as image:
            kinds.append(f"{image.width} x {image.height} {image.mode} {file.suffix.lower()}")
    told = class_told_by(pa.chunked_array([kinds]), labels)
    if told < GIVEN_AWAY:
        return []
    return [f"the size, mode and ending of the files give the class away: alone they tell {told:.1%} of it"]


def class_told_by(column: pa.ChunkedArray, labels: NDArray[np.int64]) -> float:
    """The fraction of the majority class's errors that a column alone avoids, learned from half of the rows each.

    Args:
        column: of numbers or texts, a value for each row.
        labels: (N,) class of each row.
    """
    half = np.random.default_rng(0).permutation(len(labels)) % 2 == 0
    if is_numeric(column):
        values = np.nan_to_num(numbers(column), nan=-1e300, posinf=1e300, neginf=-1e300).clip(-1e30, 1e30)
        predicted = _by_tree(values, labels, half)
    else:
        predicted = _by_value(distinct_strings(column)[1], labels, half)
    base = np.bincount(labels).max() / len(labels)
    return float(((predicted == labels).mean() - base) / max(1 - base, 1e-9))


def _by_tree(values: NDArray[np.float64], labels: NDArray[np.int64], half: NDArray[np.bool_]) -> NDArray[np.int64]:
    predicted = np.empty_like(labels)
    for known in (half, ~half):
        cuts, classes = class_intervals(values[known], labels[known], max(8, 4 * (labels.max() + 1)))
        predicted[~known] = classes[np.searchsorted(cuts, values[~known])]
    return predicted


def _by_value(codes: NDArray[np.int64], labels: NDArray[np.int64], half: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The most frequent class of each row's value among the other half; -1 where it is not there."""
    predicted = np.full_like(labels, -1)
    for known in (half, ~half):
        pairs, counts = np.unique(np.stack([codes[known], labels[known]]), axis=1, return_counts=True)
        order = np.argsort(counts, kind="stable")  # the most frequent is written last
        class_of = dict(zip(pairs[0, order].tolist(), pairs[1, order].tolist(), strict=True))
        predicted[~known] = [class_of.get(code, -1) for code in codes[~known].tolist()]
    return predicted


def number_told_by(column: pa.ChunkedArray, target: NDArray[Any]) -> float:
    """The fraction of the variance of a number's ranks that a column alone explains.

    Args:
        column: of numbers or texts, a value for each row.
        target: (N,) number of each row.
    """
    ranks = ranked(target)
    if is_numeric(column):
        values = numbers(column)
        present = np.isfinite(values)
        if present.sum() < 3 or np.ptp(values[present]) == 0:
            return 0.0
        return float(np.corrcoef(ranked(values[present]), ranks[present])[0, 1] ** 2 * present.mean())
    _, codes, counts = np.unique(distinct_strings(column)[1], return_inverse=True, return_counts=True)
    if counts.min() < 2 and len(counts) > len(ranks) / 2:
        return 0.0
    means = np.bincount(codes, ranks) / counts
    return 1 - float(np.square(ranks - means[codes]).sum() / np.square(ranks - ranks.mean()).sum())


def ranked(values: NDArray[Any]) -> NDArray[np.float64]:
    """The rank of each number, from 1; equal ones share the mean of theirs."""
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[codes]


def formula(columns: dict[str, NDArray[np.float64]], target: NDArray[Any]) -> list[str]:
    """The columns of numbers whose weighted sum is the target; none where there is no such sum."""
    columns = {name: values for name, values in columns.items() if np.isfinite(values).all() and np.ptp(values) > 0}
    if not columns or len(target) < 3 * len(columns):
        return []
    matrix = np.stack([(values - values.mean()) / values.std() for values in columns.values()], axis=1)
    centred = target - target.mean()
    weights = np.linalg.lstsq(matrix, centred, rcond=None)[0]
    if np.square(matrix @ weights - centred).sum() > 1e-6 * np.square(centred).sum():
        return []
    return [name for name, weight in zip(columns, weights, strict=True) if abs(weight) > 0.01 * abs(weights).max()]
