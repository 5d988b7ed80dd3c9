"""What an exported file reads is decided by the data and the model, and by no list of their types."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from datamodules.base import DataModule
from datamodules.errors import DataError
from datamodules.export.exportable import ExportableFeatures, ExportableModule
from datamodules.loading.examples import Rows, Source


class Features(DataModule):
    """Rows of three features."""

    values = torch.arange(60.0).view(20, 3)

    def read(self) -> Source:
        return Source(20)

    def fit(self, train: Tensor) -> None:
        pass

    def examples(self, index: Tensor) -> Any:
        return Rows(self.values, self.values[:, 0], index)

    def read_input(self, path: Path) -> tuple[Rows, list[str]]:
        raise NotImplementedError


class Pointed(NamedTuple):
    """A batch of a type that nobody else knows."""

    points: Tensor
    texts: list[str]


class PointExamples(Dataset[Any]):
    def __init__(self, points: Tensor) -> None:
        self.points = points

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: Tensor) -> tuple[Pointed, Tensor]:
        return Pointed(self.points[index], ["" for _ in index]), index


class Points(Features):
    """Data that does not say how its batches are taken apart."""

    def examples(self, index: Tensor) -> PointExamples:
        return PointExamples(self.values[index])


class ExportablePoints(ExportableModule):
    def __init__(self, model: nn.Module, data: DataModule) -> None:
        super().__init__(model, data)
        self.inputs = {"points": ("batch", 3)}

    def tensors(self, batch: Pointed) -> tuple[Tensor, ...]:
        return (batch.points,)

    def forward(self, points: Tensor) -> Tensor:  # type: ignore[override]
        return self.network(Pointed(points, []))


class PointsOfMine(Points):
    """Data that does."""

    def export_inputs(self, model: nn.Module) -> ExportableModule:
        return ExportablePoints(model, self)


class Norm(nn.Module):
    def forward(self, batch: Pointed) -> Tensor:
        return batch.points.norm(dim=1)


def ready(cls: type[Features]) -> Features:
    data = cls("mine", batch_size=2, test_fraction=0.4)
    data.setup()
    return data


def test_a_batch_of_features_is_the_only_input_by_default() -> None:
    data = ready(Features)
    exportable = data.export_inputs(nn.Linear(3, 2))
    assert isinstance(exportable, ExportableFeatures)
    assert exportable.inputs == {"features": ("batch", 3)}
    batches = list(exportable.batches())
    assert [len(batch) for batch in batches] == [7, 3, 1]
    for batch in batches:
        assert torch.equal(exportable(*exportable.tensors(batch)), exportable.expected(batch))


def test_a_datamodule_of_ones_own_takes_its_batches_apart_itself() -> None:
    exportable = ready(PointsOfMine).export_inputs(Norm())
    (batch, *_) = exportable.batches()
    (points,) = exportable.tensors(batch)
    assert torch.equal(exportable(points), points.norm(dim=1))
    assert torch.equal(exportable.expected(batch), points.norm(dim=1))


def test_data_that_does_not_say_how_is_refused_in_one_line() -> None:
    with pytest.raises(DataError, match="the inputs of Points are Pointed; expected a tensor, or an export_inputs"):
        ready(Points).export_inputs(Norm())


def test_the_model_is_asked_before_its_data() -> None:
    from lightning_modules.gan import GAN  # imports torchmetrics

    model = GAN(1, 8, 2, latent_size=5, hidden_size=2)
    exportable = model.export_inputs(ready(Features))
    assert exportable.inputs == {"noise": ("batch", 5)}
