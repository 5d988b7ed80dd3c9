"""Scores on published images."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.helpers.in_minutes import ALL

pytestmark = [pytest.mark.real_data, pytest.mark.long]


def test_cnn_on_mnist(score: Callable[..., Any]) -> None:
    part, least = ("1.0", 0.98) if ALL else ("0.2", 0.95)  # of the first epoch
    words = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", part]
    assert score("--model", "cnn", "--data", "MNIST", *words)["test"]["accuracy"] >= least
