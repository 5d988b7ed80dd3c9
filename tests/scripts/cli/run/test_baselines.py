from typing import Any

import pytest

from callbacks.run.baselines import Facts
from lightning_modules.tasks.classifier import Classifier
from lightning_modules.tasks.regressor import Regressor
from scripts.cli.run.baseline_columns import columns_of
from scripts.cli.run.baselines import remarks, table, verdict

TEST = {"loss": 0.2, "accuracy": 0.9, "balanced_accuracy": 0.8, "f1": 0.7}
BASELINE = {
    "accuracy": 0.6,
    "balanced_accuracy": 0.5,
    "f1": 0.4,
    "tf_idf_accuracy": 0.85,
    "tf_idf_balanced_accuracy": 0.84,
    "tf_idf_f1": 0.83,
}


def test_each_baseline_is_a_column() -> None:
    assert columns_of(TEST, BASELINE) == {
        "trivial": {"accuracy": 0.6, "balanced_accuracy": 0.5, "f1": 0.4},
        "tf_idf": {"accuracy": 0.85, "balanced_accuracy": 0.84, "f1": 0.83},
    }
    assert columns_of({"f1": 0, "f1_micro": 0}, {"wl_f1_micro": 1.0, "wl_f1": 2.0}) == {
        "wl": {"f1_micro": 1.0, "f1": 2.0}
    }


def test_the_table_has_a_row_for_each_metric_and_fits_80_columns() -> None:
    assert table(TEST, BASELINE, {}).splitlines() == [
        "                         test     trivial      tf_idf",
        "loss                      0.2",
        "accuracy                  0.9         0.6        0.85",
        "balanced_accuracy         0.8         0.5        0.84",
        "f1                        0.7         0.4        0.83",
    ]
    four = [f"{name}_{metric}" for name in ("seasonal", "logistic", "boosting") for metric in TEST]
    assert max(map(len, table(TEST, BASELINE | dict.fromkeys(four, 0.123456), {}).splitlines())) <= 80
    assert table({"loss": 1.0}, {}, {}).splitlines() == ["            test", "loss           1"]


def classifier() -> Classifier:
    return Classifier(num_classes=2)


@pytest.mark.parametrize(
    ("score", "monitor", "expected"),
    [
        (0.9, "val/accuracy", ""),
        (0.85, "val/accuracy", "the model is not better than tf_idf: accuracy 0.85, tf_idf 0.85"),
        (0.7, "val/loss", "the model is not better than tf_idf: accuracy 0.7, tf_idf 0.85"),
        (0.9, "val/f1", "the model is not better than tf_idf: f1 0.7, tf_idf 0.83"),
    ],
    ids=["better", "equal", "worse, and the baselines have no loss", "by the monitored metric"],
)
def test_a_model_that_is_not_better_says_so(score: float, monitor: str, expected: str) -> None:
    assert verdict(TEST | {"accuracy": score}, BASELINE, classifier(), monitor) == expected


def test_of_an_error_the_lower_is_better() -> None:
    baseline = {"rmse": 9.0, "ridge_rmse": 4.0, "boosting_rmse": 5.0}
    assert verdict({"loss": 0.1, "rmse": 3.9}, baseline, Regressor(), "val/rmse") == ""
    line = "the model is not better than ridge: rmse 4.5, ridge 4"
    assert verdict({"loss": 0.1, "rmse": 4.5}, baseline, Regressor(), "val/rmse") == line


def test_without_baselines_there_is_nothing_to_say() -> None:
    model: Any = classifier()
    assert verdict(TEST, {}, model, "val/loss") == ""
    assert remarks({}) == []


def test_baselines_of_which_the_same_is_said_share_a_line() -> None:
    facts: Facts = {
        "logistic": {"examples": 400, "of": 400, "seconds": 0.1},
        "boosting": {"examples": 400, "of": 400, "seconds": 0.7},
        "sampled": {"examples": 10_000, "of": 1_200_000, "seconds": 2.0, "remark": "failed to converge"},
        "gone": {"left_out": "out of memory"},
    }
    assert remarks(facts) == [
        "baselines logistic, boosting: fitted on the 400 training examples",
        "baseline sampled: fitted on 10,000 of 1,200,000 training examples (failed to converge)",
        "baseline gone: left out: out of memory",
    ]
