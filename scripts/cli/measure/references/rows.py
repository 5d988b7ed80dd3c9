"""Tables, series and images: a Dataset of examples, each with its transform, and the default DataLoader."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from datamodules.base import DataModule
from scripts.cli.measure.references.loop import train


class Examples:
    """Examples one by one.

    Args:
        inputs: of all examples.
        targets: likewise.
        transform: of an input.
    """

    def __init__(self, inputs: Tensor, targets: Tensor, transform: Callable[[Tensor], Tensor] | None = None) -> None:
        self.inputs = inputs
        self.targets = targets
        self.transform = transform

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        x = self.inputs[index]
        return x if self.transform is None else self.transform(x), self.targets[index]


def loader(data: DataModule) -> DataLoader[Any]:
    """Shuffled batches of the training split; images are augmented and normalised one by one."""
    split: Any = data.split_examples("train")
    inputs, targets = split[torch.arange(len(split))]
    module: Any = data
    transform = None
    if inputs.dtype == torch.uint8:
        module.trainer = None

        def transform(image: Tensor) -> Tensor:
            return module.normalise(module.augmentation.augment(image[None]))[0]

    examples: Any = Examples(inputs, targets, transform)
    return DataLoader(examples, batch_size=data.batch_size, shuffle=True, drop_last=True)


def classifier(model: Any, data: DataModule, total: int, clip: float | None) -> Iterator[Any]:
    """A classifier's steps."""
    return train(model, model, loader(data), lambda batch: F.cross_entropy(model(batch[0]), batch[1]), total, clip)


def forecaster(model: Any, data: DataModule, total: int, clip: float | None) -> Iterator[Any]:
    """A forecaster's steps, on standardised targets."""

    def loss(batch: Any) -> Tensor:
        return F.mse_loss(model(batch[0]), (batch[1] - model.target_mean) / model.target_std)

    return train(model, model, loader(data), loss, total, clip)
