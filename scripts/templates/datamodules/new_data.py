"""Numbers that are measured of each example, and its class. TODO: what they are."""

import csv
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from datamodules.labels import LabelledData, class_codes
from datamodules.loading.examples import Rows, Source
from datamodules.storage.download import DataError


class NewData(LabelledData):
    """Examples of several numbers that each belong to a class. TODO: what they are.

    A batch is `(features, target)`: (B, num_features) float32, standardised, and (B,) class indices. Your own file has
    a line for each example: its numbers, and last its class; or its numbers alone, where it is to be predicted.

    Args:
        dataset: `new_data`, which is generated, or the path of a CSV file without a header.
        num_examples: how many are generated.
        kwargs: as for LabelledData and DataModule.
    """

    embedded: ClassVar[tuple[str, ...]] = ("new_data",)  # known by name, and always there
    provides: ClassVar[tuple[str, ...]] = (
        "num_features",
        *LabelledData.provides,
    )  # what a model's constructor may take
    fitted: ClassVar[tuple[str, ...]] = ("mean", "std", *LabelledData.fitted)  # what a checkpoint keeps, plain types

    def __init__(self, dataset: str = "new_data", num_examples: int = 600, **kwargs: Any) -> None:
        super().__init__(dataset=dataset, **kwargs)
        self.num_examples = num_examples
        self.mean: list[float] = []
        self.std: list[float] = []
        self.features: Tensor

    @property
    def num_features(self) -> int:
        """F"""
        return len(self.mean)

    def read(self) -> Source:
        """Read all examples."""
        if self.is_embedded:
            self.features, names = generated(self.num_examples)
        else:
            rows = rows_of(self.path)
            self.features, names = numbers([row[:-1] for row in rows], self.path), [row[-1] for row in rows]
        self.class_names, self.labels = class_codes(names, self.known_classes, self.dataset)
        return Source(len(self.features), self.labels)  # without splits of its own: they are cut, class by class

    def fit(self, train: Tensor) -> None:
        """Learn the scale of each feature from the training split alone."""
        self.mean = self.features[train].mean(0).tolist()
        self.std = self.features[train].std(0).clamp(min=1e-6).tolist()

    def scaled(self, features: Tensor) -> Tensor:
        """Features (N, F) as the model reads them."""
        return (features - torch.tensor(self.mean)) / torch.tensor(self.std)

    def examples(self, index: Tensor) -> Rows:
        """The examples at these indices; a batch of them is one indexing operation."""
        return Rows(self.scaled(self.features[index]), self.labels[index])

    def read_input(self, path: Path) -> tuple[Rows, list[str]]:
        """Examples without classes, and what each is called in the predictions."""
        features = numbers(rows_of(path), path)
        if features.shape[1] != self.num_features:
            raise DataError(f"{path}: expected {self.num_features} numbers a line, found {features.shape[1]}")
        return Rows(self.scaled(features)), [str(line) for line in range(1, len(features) + 1)]


def generated(size: int) -> tuple[Tensor, list[str]]:
    """Points around three corners of a cube, and which; the same in every run."""
    generator = torch.Generator().manual_seed(0)
    classes = torch.arange(size) % 3
    points = torch.eye(3)[classes] + 0.2 * torch.randn(size, 3, generator=generator)
    return points, ["abc"[index] for index in classes.tolist()]


def rows_of(path: Path) -> list[list[str]]:
    """The cells of a CSV file's lines.

    Raises:
        DataError: there is none.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    if not rows:
        raise DataError(f"{path}: the file is empty")
    return rows


def numbers(rows: list[list[str]], path: Path) -> Tensor:
    """(N, F) numbers.

    Raises:
        DataError: a cell is no number, or a row is longer than another.
    """
    try:
        return torch.tensor([[float(cell) for cell in row] for row in rows], dtype=torch.float)
    except ValueError as error:
        raise DataError(f"{path}: expected a line of as many numbers for each example ({error})") from None
