"""The curves of a classifier, as scikit-learn computes them."""

import numpy as np
import pytest
import torch
from sklearn import metrics
from sklearn.calibration import calibration_curve
from torch import Tensor

from lightning_modules.tasks.results.curves import (
    Curve,
    mean_curve,
    precision_recall,
    receiver_operating_characteristic,
    reliability,
)


def sampled(ties: bool) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(3)
    score = torch.rand(200, generator=random)
    positive = torch.rand(200, generator=random) < score
    return (score * 8).round() / 8 if ties else score, positive


@pytest.mark.parametrize("ties", [False, True])
def test_precision_over_recall_is_that_of_scikit_learn(ties: bool) -> None:
    score, positive = sampled(ties)
    curve = precision_recall(score, positive)
    assert curve is not None
    precision, recall, _ = metrics.precision_recall_curve(positive, score)
    np.testing.assert_allclose(curve.x, recall[::-1])
    np.testing.assert_allclose(curve.y, precision[::-1])
    assert curve.area == pytest.approx(metrics.average_precision_score(positive, score))


@pytest.mark.parametrize("ties", [False, True])
def test_true_over_false_positives_are_those_of_scikit_learn(ties: bool) -> None:
    score, positive = sampled(ties)
    curve = receiver_operating_characteristic(score, positive)
    assert curve is not None
    false, true, _ = metrics.roc_curve(positive, score, drop_intermediate=False)
    np.testing.assert_allclose(curve.x, false)
    np.testing.assert_allclose(curve.y, true)
    assert curve.area == pytest.approx(metrics.roc_auc_score(positive, score))


def test_curves_that_are_undefined_are_none() -> None:
    score = torch.rand(4)
    assert precision_recall(score, torch.zeros(4, dtype=torch.bool)) is None
    assert receiver_operating_characteristic(score, torch.zeros(4, dtype=torch.bool)) is None
    assert receiver_operating_characteristic(score, torch.ones(4, dtype=torch.bool)) is None
    perfect = precision_recall(score, torch.ones(4, dtype=torch.bool))
    assert perfect is not None
    assert perfect.area == 1


def test_the_mean_of_curves_is_taken_at_the_same_places() -> None:
    score, positive = sampled(ties=False)
    ends = torch.tensor([0, 1]).double()
    curves = [receiver_operating_characteristic(score, positive), Curve(ends, 1 - ends, 0.5)]
    mean = mean_curve([curve for curve in curves if curve is not None], stepwise=False)
    false, true, _ = metrics.roc_curve(positive, score, drop_intermediate=False)
    inside = slice(1, -1)  # a vertical step at either end has two values
    expected = (np.interp(mean.x, false, true) + np.asarray(1 - mean.x)) / 2
    steps = np.isin(mean.x.numpy(), false)
    np.testing.assert_allclose(mean.y[inside][~steps[inside]], expected[inside][~steps[inside]])
    precisions = precision_recall(score, positive)
    assert precisions is not None
    area = mean_curve([precisions], stepwise=True).y.mean()
    assert float(area) == pytest.approx(precisions.area, abs=0.01), "the step's value is what the area sums up"


def test_the_expected_calibration_error_by_hand() -> None:
    confidence = torch.tensor([0.92, 0.98, 0.95, 0.55, 0.51, 0.2])
    correct = torch.tensor([True, True, False, True, False, False])
    found = reliability(confidence, correct)
    assert found.counts.tolist() == [1, 2, 3], "0.2 is the upper bound of its bin"
    torch.testing.assert_close(found.confidence, torch.tensor([0.2, 0.53, 0.95]).double())
    torch.testing.assert_close(found.accuracy, torch.tensor([0, 0.5, 2 / 3]).double())
    assert found.error == pytest.approx((1 * 0.2 + 2 * 0.03 + 3 * (0.95 - 2 / 3)) / 6)


def test_the_reliability_is_that_of_scikit_learn() -> None:
    score, positive = sampled(ties=False)
    found = reliability(score, positive)
    accuracy, confidence = calibration_curve(positive, score, n_bins=10)
    np.testing.assert_allclose(found.confidence, confidence, rtol=1e-6)
    np.testing.assert_allclose(found.accuracy, accuracy)


def test_no_prediction_has_no_error() -> None:
    assert reliability(torch.empty(0), torch.empty(0, dtype=torch.bool)).error == 0
    certain = reliability(torch.tensor([0.0, 1.0]), torch.tensor([False, True]))
    assert (certain.error, certain.counts.tolist()) == (0, [1, 1])
