"""Scores on published images."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.real_data, pytest.mark.long]


def test_cnn_on_mnist(score: Callable[..., Any]) -> None:
    assert score("--model", "cnn", "--data", "MNIST", "--trainer.max_epochs", "1")["test"]["accuracy"] >= 0.98
