"""Forecasts of a published series."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.real_data, pytest.mark.long]


@pytest.mark.parametrize("name", ["rnn", "lstm"])
def test_etth1_is_forecast_better_than_by_its_last_value(name: str, score: Callable[..., Any]) -> None:
    results = score(
        "--model", name, "--data", "ETTh1", "--data.target", "OT", "--data.window", "96", "--data.horizon", "24"
    )  # fmt: skip
    assert results["test"]["mse"] < 0.098
    for metric in ("mse", "mae", "rmse"):
        assert results["test"][metric] < results["baseline"][metric]
        assert results["test"][metric] < results["baseline"][f"seasonal_{metric}"]
