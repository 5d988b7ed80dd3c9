"""Data whose examples belong to classes."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from datamodules.base import DataModule
from datamodules.download import DataError
from datamodules.examples import Source
from datamodules.sampling import Splits


class LabelledData(DataModule):
    """Data whose examples each belong to one of several classes.

    Provides the number of classes, their names and how often each stands in the training split.
    """

    provides: ClassVar[tuple[str, ...]] = ("num_classes", "class_names", "class_counts")
    learned: ClassVar[tuple[str, ...]] = ("class_names", "class_counts")
    class_names: list[str]
    class_counts: list[int]

    @property
    def known_classes(self) -> list[str] | None:
        """The class names of the run that this datamodule was restored from."""
        return self.class_names if self.restored else None

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def check(self, source: Source, splits: Splits) -> None:
        """Refuse, besides, a single class and a class that the training split lacks."""
        super().check(source, splits)
        if source.labels is None:
            raise DataError(f"{self.dataset}: has no labels")
        if self.num_classes < 2:
            raise DataError(f"{self.dataset}: all examples are of one class, {self.class_names[0]}; expected two")
        counts = {
            name: torch.bincount(source.labels[index], minlength=self.num_classes).tolist()
            for name, index in splits._asdict().items()
        }
        for number, name in enumerate(self.class_names):
            if counts["train"][number] == 0:
                elsewhere = ", ".join(f"{counts[split][number]} in {split}" for split in ("val", "test"))
                raise DataError(f"{self.dataset}: the training split lacks class {name} ({elsewhere})")
        if not self.restored:
            self.class_counts = counts["train"]


def class_codes(values: Sequence[str], known: Sequence[str] | None, where: str) -> tuple[list[str], Tensor]:
    """The class names, numbers in numerical order, and each example's index among them.

    Args:
        values: the label of each example.
        known: the class names of an earlier run, to keep to.
        where: what the labels were read from, for the message.

    Raises:
        DataError: a label is none of the known class names.
    """
    names = list(known) if known is not None else sorted(set(values), key=_numerical_order)
    code = {name: number for number, name in enumerate(names)}
    for number, value in enumerate(values):
        if value not in code:
            raise DataError(
                f"{where}: example {number + 1} has label {value}, which is none of the model's classes: "
                + ", ".join(names[:20])
            )
    return names, torch.tensor([code[value] for value in values], dtype=torch.long)


def _numerical_order(value: str) -> tuple[int, float, str]:
    try:
        return 0, float(value), value
    except ValueError:
        return 1, 0.0, value
