"""What each kind of data says of itself, from which a summary and a check of it are made."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.checking.drawing import Drawing
from datamodules.checking.summary import Summary
from datamodules.checking.suspicions import Compared, duplicates, of_classes, wrong_labels
from datamodules.loading.batched import BatchedData
from datamodules.loading.sampling import generator

TRAINING_ROWS, OTHER_ROWS = 10_000, 2_000  # that are compared with each other, of each split
EXAMPLES = 3


class DescribedData(BatchedData):
    """Data that says what was understood of it; a subclass answers the questions below as far as they make sense."""

    class_names: list[str]  # where there are classes
    causes: dict[str, str]  # how each split came about

    def facts(self) -> list[tuple[str, str]]:
        """The names of columns, or of other parts, and what is in them."""
        return []

    def shown(self, row: int) -> tuple[str, str] | None:
        """An example and its target, each in a line; None where that says nothing."""
        return None

    def origin(self, row: int) -> str:
        """Where an example is from: its file and line, or its path."""
        return f"example {row + 1}"

    def origins(self, rows: Tensor) -> list[str]:
        """Where some examples are from."""
        return [self.origin(row) for row in rows.tolist()]

    def dependent_examples(self) -> int:
        """How many successive examples share a part of the data; 1 where examples are independent."""
        return 1

    def series_of(self, rows: Tensor) -> list[str]:
        """The name of the series that each of some examples is from; empty of the only one, or where there is none."""
        return [""] * len(rows)

    def dates_of(self, rows: Tensor) -> np.ndarray[Any, Any] | None:
        """The dates of each value that some examples span, (B, …) datetime64; None where there are no dates."""
        return None

    def features_of_columns(self) -> dict[str, list[str]]:
        """The names of the features that each column of a table becomes, in order; empty where there is no table."""
        return {}

    def drawable(self, rows: Tensor) -> Tensor:
        """Whether each of some examples can be drawn as a graph of few nodes, (B,)."""
        return torch.zeros(len(rows), dtype=torch.bool)

    def drawings(self, batch: Any, chosen: Sequence[int]) -> list[Drawing]:
        """The graphs to draw: each of a chosen example, or one of all if they are parts of one small graph.

        Args:
            batch: as the model gets it, without the target.
            chosen: positions in it of drawable examples.
        """
        return []

    def inputs_shown(self, rows: Tensor) -> list[str]:
        """What the model is given of each of some examples, as a text; empty where it can only be named."""
        found = ((self.shown(row) or ("",))[0] for row in rows.tolist())
        return ["" if text == name else text for name, text in zip(self.origins(rows), found, strict=True)]

    def class_sizes(self) -> dict[str, list[int]]:
        """Of each class, its examples in each split."""
        return {}

    def class_of_rows(self, rows: Tensor) -> Tensor | None:
        """The class index of some examples, where each has one."""
        return None

    def as_vectors(self, rows: Tensor) -> Compared | None:
        """Some examples as vectors that are near each other where the examples hardly differ; None: not comparable."""
        return None

    def giveaways(self) -> list[str]:
        """What gives the target away."""
        return []

    def summary(self) -> Summary:
        """What was understood of the data, which is set up."""
        sizes = {split: (len(rows), self.causes.get(split, "")) for split, rows in self.splits._asdict().items()}
        examples = [shown for row in self._first_rows() if (shown := self.shown(row))]
        return Summary(self.dataset, self.facts(), sizes, self.class_sizes(), examples)

    def _first_rows(self) -> list[int]:
        """The first training examples, of different classes where there are classes."""
        train = self.splits.train
        labels = self.class_of_rows(train)
        if labels is None:
            return train[:EXAMPLES].tolist()
        first = [int((labels == label).nonzero()[0]) for label in range(min(EXAMPLES, int(labels.max()) + 1))]
        return train[sorted(first)].tolist()

    def suspicions(self) -> list[str]:
        """What in the data is likely a mistake, each in a line."""
        found = of_classes(self.class_sizes()) + self.giveaways()
        rows, of_split, start = [], {}, 0
        for split, index in self.splits._asdict().items():
            rows.append(sampled(index, TRAINING_ROWS if split == "train" else OTHER_ROWS))
            of_split[split] = np.arange(start, start := start + len(rows[-1]))
        index = torch.cat(rows)
        compared = self.as_vectors(index)
        if compared is None:
            return found

        def origin(position: int) -> str:
            return self.origin(int(index[position]))

        found += duplicates(compared, of_split, origin)
        labels = self.class_of_rows(index)
        if labels is not None:
            found += wrong_labels(compared, labels.numpy(), self.class_names, origin)
        total = sum(map(len, self.splits))
        if found and len(index) < total:
            found.append(f"only {len(index):,} of {total:,} examples, drawn at random, were compared with each other")
        return found


def sampled(index: Tensor, size: int) -> Tensor:
    """At most so many of the indices, in ascending order; the same every time."""
    if len(index) <= size:
        return index
    return index[torch.randperm(len(index), generator=generator(0))[:size]].sort().values
