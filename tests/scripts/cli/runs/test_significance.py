"""The statistics by which runs are compared."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from scripts.cli.runs.significance import (
    RESAMPLES,
    Array,
    bootstrap_p,
    difference,
    holm,
    interval_of_mean,
    mcnemar,
    mcnemar_interval,
    resampled_means,
)


@pytest.mark.parametrize(
    ("first", "second"), [(0, 0), (0, 1), (1, 0), (3, 3), (1, 7), (12, 4), (0, 10), (250, 310), (9000, 8900)]
)
def test_mcnemar_is_the_binomial_test(first: int, second: int) -> None:
    expected = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_of_a_textbook() -> None:
    assert mcnemar(0, 5) == pytest.approx(2 / 2**5)
    assert mcnemar(1, 5) == pytest.approx(2 * (1 + 6) / 2**6)


@pytest.mark.parametrize(("first", "second"), [(a, b) for a in range(9) for b in range(9)])
def test_its_interval_is_without_0_if_and_only_if_its_p_is_below_a_twentieth(first: int, second: int) -> None:
    low, high = mcnemar_interval(first, second, 40)
    assert (low > 0 or high < 0) == (mcnemar(first, second) < 0.05)
    assert low <= (second - first) / 40 <= high


def test_its_interval_is_clopper_and_pearsons() -> None:
    low, high = mcnemar_interval(3, 9, 24)
    expected = stats.binomtest(9, 12).proportion_ci(0.95, "exact")
    assert (low, high) == pytest.approx(((2 * expected.low - 1) / 2, (2 * expected.high - 1) / 2))


def test_the_bootstrap_agrees_with_scipys() -> None:
    values = np.random.default_rng(3).exponential(size=80)
    ours = np.percentile(resampled_means(values), [2.5, 97.5])
    theirs = stats.bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=0).confidence_interval
    assert ours == pytest.approx([theirs.low, theirs.high], abs=0.02)


def test_a_few_values_are_drawn_as_many_are() -> None:
    values = np.repeat([-1.0, 0.0, 1.0], [3, 20, 7])
    scattered = values + np.arange(30) * 1e-9  # no two alike
    few, many = (
        resampled_means(values),
        resampled_means(np.concatenate([scattered, scattered + 1e-7, scattered + 1e-6])),
    )
    assert few.std() == pytest.approx(values.std() / np.sqrt(30), rel=0.03)
    assert many.std() == pytest.approx(values.std() / np.sqrt(90), rel=0.03)


def coverage(draw: Callable[[np.random.Generator], Array], mean: float) -> float:
    """The fraction of samples whose 95 % interval contains the mean."""
    generator = np.random.default_rng(0)
    intervals = [interval_of_mean(draw(generator)) for _ in range(400)]
    return float(np.mean([interval is not None and interval[0] <= mean <= interval[1] for interval in intervals]))


def test_95_percent_intervals_contain_an_accuracy_95_times_of_100() -> None:
    assert 0.90 <= coverage(lambda generator: (generator.random(100) < 0.7).astype(float), 0.7) <= 0.98


@pytest.mark.long
def test_95_percent_intervals_contain_a_mean_95_times_of_100() -> None:
    assert 0.91 <= coverage(lambda generator: generator.normal(2.0, 1.0, 60), 2.0) <= 0.97


def false_alarms(draw: Callable[[np.random.Generator], Array]) -> float:
    """The fraction of samples of mean 0 that are called significant."""
    generator = np.random.default_rng(1)
    return float(np.mean([bootstrap_p(resampled_means(draw(generator))) < 0.05 for _ in range(400)]))


def test_a_twentieth_of_equally_good_pairs_differ_by_chance() -> None:
    assert 0.02 <= false_alarms(lambda generator: generator.integers(-2, 3, 80).astype(float)) <= 0.09


@pytest.mark.long
def test_a_twentieth_of_equally_good_pairs_of_any_scores_differ_by_chance() -> None:
    assert 0.02 <= false_alarms(lambda generator: generator.normal(0.0, 1.0, 80)) <= 0.09


def test_windows_that_overlap_are_sampled_in_blocks() -> None:
    """Errors of successive windows resemble each other: of single ones, a difference by chance seems none."""

    def smooth(generator: np.random.Generator) -> Array:
        return np.convolve(generator.normal(size=619), np.ones(20) / 20, mode="valid")

    def alarms(dependent: int) -> float:
        generator = np.random.default_rng(3)
        return float(np.mean([bootstrap_p(resampled_means(smooth(generator), dependent)) < 0.05 for _ in range(100)]))

    assert alarms(1) > 0.5
    assert alarms(20) < 0.2


def test_of_blocks_the_method_is_told() -> None:
    found = difference("mae", np.arange(100.0), np.arange(100.0) + 1, dependent=40)
    assert found is not None
    assert found.method == "paired bootstrap, 10,000 resamples of blocks of 10 successive examples"
    assert difference("mae", np.arange(5.0), np.arange(5.0) + 1, dependent=40) is not None


def test_right_and_wrong_are_compared_by_mcnemar() -> None:
    first, second = np.array([1.0, 1, 0, 0, 1]), np.array([1.0, 0, 1, 1, 1])
    found = difference("accuracy", first, second)
    assert found is not None
    assert found.p == mcnemar(1, 2)
    assert (found.first, found.second) == (0.6, 0.8)
    assert "1 right only in A, 2 only here" in found.method


def test_other_scores_are_compared_by_the_bootstrap() -> None:
    generator = np.random.default_rng(2)
    first = generator.normal(size=200)
    found = difference("loss", first, first - 0.3 + 0.1 * generator.normal(size=200))
    assert found is not None
    assert found.p == pytest.approx(2 / (RESAMPLES + 1))  # the least it can say
    assert found.interval[1] < 0
    assert "10,000 resamples" in found.method


def test_examples_without_a_score_are_left_out_and_counted() -> None:
    first, second = np.array([0.5, np.nan, 0.25, 0.1]), np.array([0.5, 1.0, np.inf, 0.2])
    found = difference("loss", first, second)
    assert found is not None
    assert (found.examples, found.left_out) == (2, 2)
    assert difference("loss", first[1:2], second[1:2]) is None


def test_a_tie_is_no_difference() -> None:
    scores = np.linspace(0, 3, 50)
    found = difference("loss", scores, scores)
    assert found is not None
    assert (found.p, found.interval) == (1.0, (0.0, 0.0))


def test_two_calls_say_the_same() -> None:
    values = np.random.default_rng(5).normal(size=100)
    assert (resampled_means(values) == resampled_means(values)).all()


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5]) == [0.5]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
