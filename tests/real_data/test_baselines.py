"""Scores of the baselines on published data: as strong as they are known to be, and fitted in seconds."""

from pathlib import Path

import pytest
import torch

from callbacks.run.baselines import batches_of, fitted_to
from datamodules.base import DataModule
from datamodules.graphs import GraphClasses
from datamodules.images import Images
from datamodules.nodes import Nodes
from datamodules.series import Series
from datamodules.tabular import TabularClassification, TabularRegression
from datamodules.text import TextClassification

pytestmark = [pytest.mark.real_data, pytest.mark.long]


def predictions(data: DataModule, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """What a baseline predicts for the test split, and its targets."""
    data.prepare_data()
    data.setup()
    baseline = data.baselines()[name]
    fitted, facts = fitted_to(baseline, data)
    assert facts["seconds"] < 30  # next to other tests; five seconds on two cores of its own
    predict = baseline.predictor(fitted)
    found = [(predict(batch), batch[1]) for batch in batches_of(data, data.splits.test)]
    outputs, targets = zip(*found, strict=True)
    return torch.cat(outputs), torch.cat(targets)


def accuracy(data: DataModule, name: str) -> float:
    logits, target = predictions(data, name)
    return float((logits.argmax(1) == target).float().mean())


def test_tables(shared_data: Path) -> None:
    titanic = str(shared_data / "tabular" / "titanic" / "titanic.csv")
    assert accuracy(TabularClassification(titanic, target="Survived"), "logistic") >= 0.78
    assert accuracy(TabularClassification(titanic, target="Survived"), "boosting") >= 0.81
    housing = str(shared_data / "tabular" / "california_housing" / "housing.csv")
    for name, r2 in (("ridge", 0.62), ("boosting", 0.81)):
        values, target = predictions(TabularRegression(housing, target="median_house_value"), name)
        assert 1 - float(((values - target) ** 2).mean() / target.var()) >= r2


@pytest.mark.parametrize(("dataset", "least"), [("SST-2", 0.80), ("ChnSentiCorp", 0.86)])
def test_texts(dataset: str, least: float, shared_data: Path) -> None:
    assert accuracy(TextClassification(dataset, root=str(shared_data)), "tf_idf") >= least


def test_images(shared_data: Path) -> None:
    assert accuracy(Images("MNIST", root=str(shared_data)), "class_mean") >= 0.815


def test_nodes(shared_data: Path) -> None:
    assert accuracy(Nodes("Cora", root=str(shared_data)), "propagation") >= 0.69


@pytest.mark.parametrize(("dataset", "least"), [("PROTEINS", 0.73), ("MUTAG", 0.83)])
def test_graphs(dataset: str, least: float, shared_data: Path) -> None:
    folds = [GraphClasses(dataset, root=str(shared_data), num_folds=10, fold=fold) for fold in range(10)]
    assert sum(accuracy(data, "wl") for data in folds) / 10 >= least


def test_series(shared_data: Path) -> None:
    data = Series("ETTh1", root=str(shared_data), target="OT", window=336, horizon=96)
    values, target = predictions(data, "linear")
    assert float(((values - target) ** 2).mean()) / data.target_std**2 <= 0.06
