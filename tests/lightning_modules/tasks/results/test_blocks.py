"""The block bootstrap, against what theory says of an autocorrelated series."""

import time

import pytest
import torch
from torch import Tensor

from lightning_modules.tasks.results.blocks import block_length
from lightning_modules.tasks.results.intervals import Scores, of_blocks, of_sums
from lightning_modules.tasks.results.outcomes import Outcomes
from lightning_modules.tasks.results.values import ForecastResults

CORRELATION = 0.9  # of successive values


def autocorrelated(size: int, seed: int) -> Tensor:
    """Values of mean 0 and variance 1 that are correlated with those before them."""
    noise = torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.double).tolist()
    values = [noise[0]]
    for each in noise[1:]:
        values.append(CORRELATION * values[-1] + (1 - CORRELATION**2) ** 0.5 * each)
    return torch.tensor(values, dtype=torch.double)


def mean_of(sums: Tensor) -> Scores:
    return {"mean": sums[:, 1] / sums[:, 0]}


def statistics_of(values: Tensor) -> Tensor:
    return torch.stack([torch.ones_like(values), values], dim=1)


def test_the_interval_of_an_autocorrelated_series_is_as_wide_as_theory_says_and_the_plain_one_is_not() -> None:
    size = 3000
    true = 2 * 1.96 * ((1 + CORRELATION) / (1 - CORRELATION) / size) ** 0.5
    blocks, plain = [], []
    for seed in range(10):
        statistics = statistics_of(autocorrelated(size, seed))
        (low, high), (from_, to) = of_blocks(statistics, mean_of, 120)["mean"], of_sums(statistics, mean_of)["mean"]
        assert low < statistics[:, 1].mean() < high
        blocks.append(high - low)
        plain.append(to - from_)
    assert sum(blocks) / 10 == pytest.approx(true, rel=0.15)
    assert sum(plain) / 10 < true / 3


def test_the_interval_has_the_true_value_about_as_often_as_it_says() -> None:
    hits = sum(
        low < 0 < high
        for seed in range(60)
        for low, high in [of_blocks(statistics_of(autocorrelated(1500, seed)), mean_of, 100)["mean"]]
    )
    assert hits >= 0.8 * 60


def test_blocks_of_one_are_the_plain_bootstrap() -> None:
    statistics = statistics_of(torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.double))
    one, other = of_blocks(statistics, mean_of, 1)["mean"], of_sums(statistics, mean_of)["mean"]
    assert one == pytest.approx(other, abs=0.02)


def test_a_short_series_has_shorter_blocks_and_one_of_a_window_no_interval() -> None:
    assert [block_length(size, 120) for size in (5000, 1200, 300, 5)] == [120, 120, 30, 1]
    assert of_blocks(statistics_of(torch.ones(1)), mean_of, 120) == {}


def test_the_intervals_of_forecasts_take_overlapping_windows_for_dependent_and_are_quick() -> None:
    horizon, errors = 24, autocorrelated(20_023, 0).float()
    target = torch.zeros(20_000, horizon)
    prediction = errors.unfold(0, horizon, 1)  # successive windows share all errors but one
    results = ForecastResults(std=1.0)
    outcomes = Outcomes(torch.arange(20_000), {"target": target, "prediction": prediction, "loss": target[:, 0]})
    began = time.perf_counter()
    found = results.intervals(outcomes)
    assert time.perf_counter() - began < 2
    assert [*found] == ["mae", "rmse", "mse"]
    low, high = found["mae"]
    plain = of_sums(statistics_of(prediction.abs().mean(1).double()), mean_of)["mean"]
    assert low < float(prediction.abs().mean()) < high
    assert high - low > 3 * (plain[1] - plain[0])
