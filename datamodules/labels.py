"""Data whose examples belong to classes."""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.base import DataModule
from datamodules.files.splits import listed
from datamodules.loading.examples import Source
from datamodules.loading.sampling import ClassBalancedSampler, Splits, ascending
from datamodules.storage.download import DataError
from datamodules.storage.fingerprint import hash_labels

_SUFFIX = re.compile(r"(?<=\d)\.0+$|(?<=[^.])\.$")  # of a whole number as a float; of UCI's test labels

Balance = Literal["none", "weights", "over", "under"]


class LabelledData(DataModule):
    """Data whose examples each belong to one of several classes.

    Provides the number of classes, their names, their frequency in the training split, and their weights in the loss,
    where these are not equal. Only training is balanced: validation and test are not changed.

    Args:
        dataset: a known data set, or the path of your own files.
        balance: how imbalanced classes are balanced in training: `weights` weights each example in the loss by its
            class; `over` oversamples the smaller classes in each epoch to the size of the largest; `under`
            undersamples the larger ones to the size of the smallest, with other examples in each epoch.
        kwargs: as for DataModule.
    """

    provides: ClassVar[tuple[str, ...]] = (
        "num_classes",
        "class_names",
        "class_counts",
        "class_weights",
        "multilabel",
        "num_examples",
    )
    fitted: ClassVar[tuple[str, ...]] = ("class_names", "class_counts")
    multilabel = False  # whether an example has any number of the classes
    num_examples = 0  # of the training split, where it has
    class_names: list[str]
    class_counts: list[int]
    labels: Tensor  # the class index of each example, among class_names

    def __init__(self, dataset: str, balance: Balance = "none", **kwargs: Any) -> None:
        super().__init__(dataset=dataset, **kwargs)
        if balance not in get_args(Balance):
            raise ValueError(f"--data.balance: expected one of {', '.join(get_args(Balance))}, got {balance}")
        self.balance = balance

    @property
    def known_classes(self) -> list[str] | None:
        """The class names of the run from which this datamodule was restored."""
        return self.class_names if self.restored else None

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def label_digest(self) -> str:
        """A digest of the class name of each example in a split."""
        return hash_labels(self.class_names, self.labels[ascending(torch.cat(self.splits))])

    @property
    def class_weights(self) -> list[float] | None:
        """The weight of each class in the loss, such that all classes weigh the same in total; None without weights."""
        if self.balance != "weights":
            return None
        return [sum(self.class_counts) / (self.num_classes * count) for count in self.class_counts]

    def class_sizes(self) -> dict[str, list[int]]:
        """Of each class, its examples in each split."""
        counts = [torch.bincount(self.labels[rows], minlength=self.num_classes).tolist() for rows in self.splits]
        return {name: [*sizes] for name, *sizes in zip(self.class_names, *counts, strict=True)}

    def class_of_rows(self, rows: Tensor) -> Tensor | None:
        """The class index of each."""
        return self.labels[rows]

    def check(self, source: Source, splits: Splits) -> None:
        """Refuse, in addition, a single class, and a class that the training split lacks."""
        super().check(source, splits)
        if source.labels is None:
            raise DataError(f"{self.dataset}: has no labels")
        if self.num_classes < 2:
            raise DataError(f"{self.dataset}: all examples are of one class, {self.class_names[0]}; expected two")
        counts = {
            name: torch.bincount(source.labels[index], minlength=self.num_classes).tolist()
            for name, index in splits._asdict().items()
        }
        for index, name in enumerate(self.class_names):
            if counts["train"][index] == 0:
                elsewhere = ", ".join(f"{counts[split][index]} in {split}" for split in ("val", "test"))
                raise DataError(f"{self.dataset}: the training split lacks class {name} ({elsewhere})")
        single = [name for name, *count in zip(self.class_names, *counts.values(), strict=True) if sum(count) == 1]
        if single:
            names = (
                f"{len(single)} classes have a single example" if len(single) > 1 else "a class has a single example"
            )
            self.note(f"{self.dataset}: {names}, which is trained on: no score covers {listed(single)}")
        if not self.restored:
            self.class_counts = counts["train"]
        if self.balance in ("over", "under"):
            quota = (max if self.balance == "over" else min)(counts["train"])
            self.balanced = ClassBalancedSampler(source.labels[splits.train], quota, self.seed)
            if self.batch_size is not None and self.batch_size > len(self.balanced):
                raise DataError(
                    f"--data.batch_size {self.batch_size}: an epoch of --data.balance {self.balance} has only "
                    f"{len(self.balanced)} examples, {quota} of each class"
                )


def class_codes(
    values: Sequence[str], known: Sequence[str] | None, where: str, note: Callable[[str], None] = lambda text: None
) -> tuple[list[str], Tensor]:
    """As `classes_of_distinct`, of the label of each example."""
    place = {value: index for index, value in enumerate(dict.fromkeys(values))}
    places = np.fromiter(map(place.__getitem__, values), np.int64, len(values))
    return classes_of_distinct([*place], places, known, where, note)


def classes_of_distinct(
    distinct: Sequence[str],
    places: NDArray[np.int64],
    known: Sequence[str] | None,
    where: str,
    note: Callable[[str], None] = lambda text: None,
) -> tuple[list[str], Tensor]:
    """The class names, numbers first and in numerical order, and each example's class index.

    Labels that are written in two ways are of one class: `1` and `1.0`, `true` and `True`, `>50K` and `>50K.`.

    Args:
        distinct: the labels, in the order in which they first occur.
        places: (N,) the index of each example's label among them.
        known: the class names of an earlier run, which are kept.
        where: the source of the labels, for the message.
        note: reports which labels are of one class.

    Raises:
        DataError: a label is none of the known class names.
    """
    class_of = _classes_of([*dict.fromkeys(distinct)], known)
    names = list(known) if known is not None else sorted(set(class_of.values()), key=_numerical_order)
    code = {name: index for index, name in enumerate(names)}
    changed = [f"{value} as {name}" for value, name in class_of.items() if value != name]
    if changed:
        note(f"{where}: reads the label {', '.join(changed[:5])}")
    codes = np.array([code.get(class_of[value], -1) for value in distinct], np.int64)[places]
    if (codes < 0).any():
        row = int((codes < 0).argmax())
        raise DataError(
            f"{where}: example {row + 1} has label {distinct[places[row]]}, which is none of the model's classes: "
            + ", ".join(names[:20])
        )
    return names, torch.from_numpy(codes)


def _classes_of(labels: Sequence[str], known: Sequence[str] | None) -> dict[str, str]:
    """The class of each label: itself, or the one that is written plainly where both are there."""
    names = set(labels if known is None else known)
    plain = {label: _plain(label) for label in [*labels, *names]}
    shared = Counter(plain[name] for name in names)
    of_plain = {plain[name]: name for name in names}
    if names <= {"0", "1"}:
        of_plain |= {"false": "0", "true": "1"}
    elif {plain[name] for name in names} <= {"false", "true"}:
        of_plain |= {"0": of_plain.get("false", "0"), "1": of_plain.get("true", "1")}
    classes: dict[str, str] = {}
    for label in labels:
        if known is not None:
            classes[label] = label if label in names else of_plain.get(plain[label], label)
        else:
            classes[label] = plain[label] if shared[plain[label]] > 1 else label
    return classes


def _plain(label: str) -> str:
    """A label without the ways in which programs write the same one."""
    if label.lower() in ("true", "false"):
        return label.lower()
    return _SUFFIX.sub("", label)


def _numerical_order(value: str) -> tuple[int, float, str]:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    return (1, 0.0, value) if math.isnan(number) else (0, number, value)  # NaN is neither before nor after a number
