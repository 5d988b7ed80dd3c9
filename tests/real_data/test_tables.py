"""Scores on published tables, beside scikit-learn's on the same split."""

import statistics
from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.tabular import TabularClassification, TabularRegression
from tests.helpers.in_minutes import IN_MINUTES

pytestmark = [pytest.mark.real_data, pytest.mark.long]


def arrays(data: Any, split: Any) -> Any:
    examples = data.split_examples(split)
    x, y = examples[torch.arange(len(examples))]
    return x.numpy(), y.numpy()


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")  # its default of 200 epochs is what a user would get
@pytest.mark.parametrize(
    ("file", "target", "metric"),
    [
        pytest.param("mammography/mammography.csv", "-1", "average_precision", marks=IN_MINUTES),
        ("titanic/titanic.csv", "Survived", "accuracy"),
    ],
)
def test_mlp_is_no_worse_than_scikit_learns(
    score: Any, shared_data: Path, file: Path, target: Any, metric: Any
) -> None:
    from sklearn.metrics import accuracy_score, average_precision_score
    from sklearn.neural_network import MLPClassifier

    path = shared_data / "tabular" / file
    ours = score("--model", "mlp", "--data", str(path), f"--data.target={target}")["test"][metric]
    data = TabularClassification(str(path), target=target)
    data.setup("fit")
    theirs = []
    for seed in range(3):
        model = MLPClassifier(random_state=seed).fit(*arrays(data, "train"))
        x, y = arrays(data, "test")
        if metric == "accuracy":
            theirs.append(accuracy_score(y, model.predict(x)))
        else:
            theirs.append(average_precision_score(y, model.predict_proba(x)[:, 1]))
    assert ours >= statistics.mean(theirs)


def test_linear_regression_equals_scikit_learns(score: Any, shared_data: Path) -> None:
    from sklearn.linear_model import LinearRegression

    path = shared_data / "tabular" / "california_housing" / "housing.csv"
    words = ("--data", str(path), "--data.target", "median_house_value")
    ours = score("--model", "linear_regression", *words)["test"]["r2"]
    data = TabularRegression(str(path), target="median_house_value")
    data.setup("fit")
    assert ours == pytest.approx(LinearRegression().fit(*arrays(data, "train")).score(*arrays(data, "test")), abs=0.01)
