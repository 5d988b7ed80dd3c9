import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestCentroid

from datamodules.baselines.nearest_mean import SIDE, NearestMean, pixels
from datamodules.baselines.principal_components import PrincipalComponents


def images(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 2, 3, 3, generator=torch.Generator().manual_seed(seed))


def test_the_nearest_mean_is_scikit_learns() -> None:
    train, test = images(50), images(30, seed=1)
    target = torch.arange(50) % 4
    baseline = NearestMean(18, 4)
    fitted = baseline.fit((train[part], target[part]) for part in torch.arange(50).split(20))
    theirs = NearestCentroid().fit(train.flatten(1).numpy(), target.numpy())
    logits = baseline.predictor(fitted)((test, None))
    np.testing.assert_array_equal(logits.argmax(1), theirs.predict(test.flatten(1).numpy()))
    within = torch.cat([train[target == each].flatten(1) - fitted["mean"][each] for each in range(4)])
    assert fitted["variance"] == pytest.approx(float((within**2).mean()), rel=1e-4)


def test_a_class_that_training_lacks_is_never_said() -> None:
    baseline = NearestMean(18, 3)
    logits = baseline.predictor(baseline.fit([(images(8), torch.tensor([0, 2] * 4))]))((images(20, seed=2), None))
    assert set(logits.argmax(1).tolist()) <= {0, 2}


def test_of_several_labels_each_is_recognised_for_itself() -> None:
    labels = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]]).repeat(25, 1)
    x = 0.1 * images(100)
    x[:, 0, 0, 0] += labels[:, 0]
    x[:, 1, 2, 2] += labels[:, 1]
    baseline = NearestMean(18, 2, multilabel=True)
    probabilities = baseline.predictor(baseline.fit([(x, labels.float())]))((x, None))
    assert ((probabilities > 0.5) == labels.bool()).float().mean() > 0.98


def test_large_images_are_averaged() -> None:
    large = torch.ones(2, 3, 4 * SIDE, 7)
    assert pixels(large).shape == (2, 3 * SIDE * 7)


def test_the_distribution_has_the_mean_and_the_covariance_of_the_images() -> None:
    x = images(400)
    x[:, 0] += 2 * x[:, 1]
    fitted = PrincipalComponents(18).fit(part for part in [(x[:150], None), (x[150:], None)])
    torch.testing.assert_close(fitted["mean"], x.flatten(1).mean(0), atol=1e-5, rtol=0)
    covariance = torch.cov(x.flatten(1).T, correction=0)
    torch.testing.assert_close(fitted["components"].T @ fitted["components"], covariance, atol=1e-4, rtol=0)


def test_images_that_are_too_large_for_it_are_refused() -> None:
    with pytest.raises(ValueError, match=r"12,288 values"):
        PrincipalComponents(12288).fit([])
