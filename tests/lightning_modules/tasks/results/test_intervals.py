"""Intervals by the bootstrap: they cover as often as they say, and their scores are those of the test."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from lightning_modules.tasks.results.intervals import (
    REPLICATES,
    WORK,
    Ranking,
    middle,
    of_means,
    of_pairs,
    of_weights,
    replicates_of,
    weights_of,
)


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution() -> None:
    values = torch.randn(2000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 1
    low, high = of_means({"x": values})["x"]
    half = 1.96 * float(values.std()) / 2000**0.5
    assert low == pytest.approx(float(values.mean()) - half, abs=0.03)
    assert high == pytest.approx(float(values.mean()) + half, abs=0.03)


@pytest.mark.parametrize("size", [60, 200])
def test_ninety_five_of_a_hundred_intervals_cover_the_true_mean(size: int) -> None:
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        low, high = of_means({"x": torch.from_numpy(random.exponential(1.0, size))})["x"]
        covered += low <= 1 <= high
    assert 0.88 <= covered / 200 <= 0.98  # of a skewed distribution it is a little too narrow


@pytest.mark.parametrize("ties", [False, True])
def test_areas_of_weighted_examples_are_those_of_scikit_learn(ties: bool) -> None:
    random = np.random.default_rng(0)
    score = random.integers(0, 5, 80) / 5 if ties else random.random(80)
    positive = random.random(80) < 0.3
    weights = np.stack([np.ones(80), random.integers(0, 4, 80)])
    ranking = Ranking(torch.from_numpy(score), torch.from_numpy(positive))
    for name, ours in (("ap", ranking.average_precision), ("auroc", ranking.auroc)):
        theirs = average_precision_score if name == "ap" else roc_auc_score
        expected = [theirs(positive, score, sample_weight=row) for row in weights]
        assert ours(torch.from_numpy(weights).double()).tolist() == pytest.approx(expected)


def test_an_area_without_positive_examples_is_undefined_and_left_out() -> None:
    ranking = Ranking(torch.rand(5), torch.zeros(5, dtype=torch.bool))
    assert ranking.average_precision(torch.ones(1, 5).double()).isnan().all()
    assert of_weights(5, lambda weights: {"ap": ranking.average_precision(weights)}) == {}


def test_a_confusion_matrix_is_sampled_as_examples_are() -> None:
    random = torch.Generator().manual_seed(0)
    true = torch.randint(0, 3, (500,), generator=random)
    predicted = torch.where(torch.rand(500, generator=random) < 0.8, true, (true + 1) % 3)
    counted = of_pairs(true, predicted, 3, lambda correct, *_: {"accuracy": correct.sum(1) / 500})["accuracy"]
    sampled = of_means({"accuracy": (true == predicted).double()})["accuracy"]
    assert counted == pytest.approx(sampled, abs=0.01)


def test_replicates_get_fewer_where_they_would_take_long_and_are_the_same_every_time() -> None:
    assert replicates_of(100) == REPLICATES
    assert replicates_of(WORK // 500) == 500
    assert replicates_of(10**9) == 200
    one, other = (torch.cat([*weights_of(30)]) for _ in range(2))
    assert one.shape == (REPLICATES, 30)
    assert torch.equal(one, other)
    assert (one.sum(1) == 30).all()


def test_nothing_has_no_interval() -> None:
    assert of_means({"x": torch.empty(0)}) == {}
    assert middle({"x": torch.full((5,), torch.nan)}) == {}
