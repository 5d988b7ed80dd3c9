"""The scores of the README's results table, on published data."""

import statistics
from typing import Any

import pytest
import torch

from datamodules.tabular import TabularClassification, TabularRegression
from scripts.cli.recipes import resolve
from scripts.cli.training import fit

pytestmark = [pytest.mark.real_data, pytest.mark.long]


@pytest.fixture
def score(shared_data, tmp_path):
    """Train with these words and give the results; what is shared is only read."""

    def run(*words: str) -> dict[str, Any]:
        results = fit(resolve([*words, "--data.root", str(shared_data), "--logs", str(tmp_path)]), debug=True)
        assert results is not None
        return results

    return run


def test_cnn_on_mnist(score):
    assert score("--model", "cnn", "--data", "MNIST")["test"]["accuracy"] >= 0.992


def test_gcn_on_cora_over_ten_seeds(score):
    runs = [score("--model", "gcn", "--data", "Cora", "--seed_everything", str(seed)) for seed in range(10)]
    assert statistics.mean(run["test"]["accuracy"] for run in runs) >= 0.815


@pytest.mark.parametrize(("dataset", "accuracy"), [("MUTAG", 0.84), ("PROTEINS", 0.73)])
def test_gat_over_ten_folds(score, dataset, accuracy):
    folds = [("--data.num_folds", "10", "--data.fold", str(fold)) for fold in range(10)]
    runs = [score("--model", "gat", "--data", dataset, *fold) for fold in folds]
    assert statistics.mean(run["test"]["accuracy"] for run in runs) >= accuracy


def arrays(data, split):
    examples = data._split(split)
    x, y = examples[torch.arange(len(examples))]
    return x.numpy(), y.numpy()


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")  # its default of 200 epochs is what a user would get
@pytest.mark.parametrize(
    ("file", "target", "metric"),
    [("mammography/mammography.csv", "-1", "average_precision"), ("titanic/titanic.csv", "Survived", "accuracy")],
)
def test_mlp_is_no_worse_than_scikit_learns(score, shared_data, file, target, metric):
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


def test_linear_regression_equals_scikit_learns(score, shared_data):
    from sklearn.linear_model import LinearRegression

    path = shared_data / "tabular" / "california_housing" / "housing.csv"
    words = ("--data", str(path), "--data.target", "median_house_value")
    ours = score("--model", "linear_regression", *words)["test"]["r2"]
    data = TabularRegression(str(path), target="median_house_value")
    data.setup("fit")
    assert ours == pytest.approx(LinearRegression().fit(*arrays(data, "train")).score(*arrays(data, "test")), abs=0.01)
