"""Scores on published graphs."""

import statistics
from collections.abc import Callable
from typing import Any

import pytest

from tests.helpers.in_minutes import ALL, IN_MINUTES

pytestmark = [pytest.mark.real_data, pytest.mark.long]


@pytest.mark.parametrize(("name", "accuracy"), [("gcn", 0.81), ("gat_nodes", 0.82)])
def test_cora_over_seeds(score: Callable[..., Any], name: str, accuracy: float) -> None:
    runs = [score("--model", name, "--data", "Cora", "--seed_everything", str(seed)) for seed in range(2 if ALL else 1)]
    assert statistics.mean(run["test"]["accuracy"] for run in runs) >= accuracy


@IN_MINUTES
@pytest.mark.parametrize(("dataset", "accuracy"), [("MUTAG", 0.84), ("PROTEINS", 0.73)])
def test_gat_over_folds(score: Callable[..., Any], dataset: str, accuracy: float) -> None:
    folds = [("--data.num_folds", "10", "--data.fold", str(fold)) for fold in range(1, 10, 2)]
    runs = [score("--model", "gat", "--data", dataset, *fold) for fold in folds]
    assert statistics.mean(run["test"]["accuracy"] for run in runs) >= accuracy
