import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as TheirRidge

from datamodules.baselines.linear import Logistic, Ridge


@pytest.mark.parametrize("classes", [2, 4])
def test_logistic_regression_equals_scikit_learns(classes: int) -> None:
    random = np.random.default_rng(0)
    x = torch.from_numpy(random.normal(size=(90, 5))).float()
    y = torch.from_numpy(random.integers(0, classes, 90))
    baseline = Logistic(5, classes)
    fitted = baseline.fit((x[part], y[part]) for part in torch.arange(90).split(40))
    theirs = LogisticRegression(max_iter=500).fit(x.numpy(), y.numpy()).predict_proba(x.numpy())
    np.testing.assert_allclose(baseline.predictor(fitted)((x, y)).softmax(-1), theirs, atol=1e-5)


def test_one_class_is_refused_with_a_reason() -> None:
    with pytest.raises(ValueError, match="class"):
        Logistic(2, 2).fit([(torch.randn(5, 2), torch.zeros(5, dtype=torch.long))])


@pytest.mark.parametrize("outputs", [(), (3,)], ids=["one value", "several"])
def test_ridge_regression_equals_scikit_learns(outputs: tuple[int, ...]) -> None:
    random = np.random.default_rng(1)
    x = torch.from_numpy(random.normal(size=(60, 4))) + 3
    y = torch.from_numpy(random.normal(size=(60, *outputs))) + 7
    baseline = Ridge(4, penalty=2.0)
    fitted = baseline.fit((x[part], y[part]) for part in torch.arange(60).split(25))
    theirs = TheirRidge(alpha=2.0).fit(x.numpy(), y.numpy()).predict(x.numpy())
    found = baseline.predictor(fitted)((x, y))
    assert found.shape == y.shape
    np.testing.assert_allclose(found, theirs, rtol=1e-4)


def test_columns_that_are_alike_are_no_reason_to_fail() -> None:
    x = torch.randn(20, 1, generator=torch.Generator().manual_seed(0)).repeat(1, 3)
    baseline = Ridge(3, penalty=0.0)
    found = baseline.predictor(baseline.fit([(x, 2 * x[:, 0] + 1)]))((x, None))
    torch.testing.assert_close(found, 2 * x[:, 0] + 1, atol=1e-4, rtol=1e-4)
