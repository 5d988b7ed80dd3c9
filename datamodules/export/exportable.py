"""A trained model as an exported file holds it: plain tensors with names go in, one tensor comes out.

A batch is here a `NamedTuple` of tensors and texts: it is taken apart into those tensors that the network reads. What
is computed from raw values (pixels normalised, windows scaled, an adjacency normalised) becomes part of the network.
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

Axes = tuple[str | int, ...]  # of a tensor: the size where it is fixed, a name where it is dynamic


class ExportableModule(nn.Module):
    """The network of a trained model, in evaluation mode.

    Args:
        model: the trained model.
        data: its datamodule, set up.
    """

    reads = ""  # the module of `scripts.cli.export.standalone` that reads a user's files; none by default
    inputs: dict[str, Axes]
    output = "logits"
    sizes: tuple[int, ...] = (7, 3, 1)  # of the batches on which an export is verified
    unit = "test examples"

    def __init__(self, model: nn.Module, data: Any) -> None:
        super().__init__()
        self.network: Any = model.eval().requires_grad_(False)
        self.data = data

    @abstractmethod
    def tensors(self, batch: Any) -> tuple[Tensor, ...]:
        """The input tensors of a batch, whose inputs are as the loader gives them."""

    @abstractmethod
    def forward(self, *tensors: Tensor) -> Tensor:
        """The output tensor."""

    def preprocessing(self) -> dict[str, Any]:
        """What leads from a user's files to the input tensors, as plain types."""
        return {}

    def expected(self, batch: Any) -> Tensor:
        """The output of the model itself for the batch's inputs."""
        return self.network(self.data.on_after_batch_transfer(batch, 0))

    def batches(self) -> Iterator[Any]:
        """The inputs of test batches of several sizes."""
        examples = self.data.examples(self.data.splits.test)
        for size in self.sizes:
            inputs, _ = examples[torch.arange(min(size, len(examples)))]
            yield inputs


class ExportableFeatures(ExportableModule):
    """Reads features (B, …), as the loader gives them."""

    def __init__(self, model: nn.Module, data: Any) -> None:
        super().__init__(model, data)
        self.inputs = {"features": ("batch", *next(self.batches()).shape[1:])}
        self.in_units = hasattr(model, "target_std")
        self.output = "prediction" if self.in_units else "logits"

    def tensors(self, batch: Any) -> tuple[Tensor, ...]:
        """The features."""
        return (batch,)

    def units(self, output: Tensor) -> Tensor:
        """Logits, or predictions in the target's own units."""
        return output * self.network.target_std + self.network.target_mean if self.in_units else output

    def forward(self, features: Tensor) -> Tensor:  # type: ignore[override]
        """Logits, or predictions in the target's own units."""
        return self.units(self.network(features))

    def expected(self, batch: Any) -> Tensor:
        """The output of the model, in the same units."""
        return self.units(super().expected(batch))
