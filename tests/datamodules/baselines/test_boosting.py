import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from datamodules.baselines.boosting import MAX_ITERATIONS, Boosting, rounded_down

SETTINGS = {"max_iter": MAX_ITERATIONS, "early_stopping": False, "random_state": 0}


def table(rows: int) -> torch.Tensor:
    return torch.randn(rows, 4, generator=torch.Generator().manual_seed(rows))


@pytest.mark.parametrize("classes", [2, 3])
def test_the_trees_as_tensors_give_scikit_learns_probabilities(classes: int) -> None:
    train, test = table(300), table(100)
    labels = (train[:, :classes] + 0.5 * train[:, [3]] ** 2).argmax(1)
    baseline = Boosting(4, classes)
    fitted = baseline.fit([(train, labels)])
    theirs = HistGradientBoostingClassifier(**SETTINGS).fit(train.numpy(), labels.numpy())
    for part in (train, test):  # of the training split itself, values equal thresholds
        ours = baseline.predictor(fitted)((part, None)).softmax(-1)
        np.testing.assert_allclose(ours, theirs.predict_proba(part.numpy()), atol=1e-5)


def test_the_trees_as_tensors_give_scikit_learns_values() -> None:
    train, test = table(300), table(100)
    target = 1000 + train[:, 0] * train[:, 1]
    baseline = Boosting(4)
    fitted = baseline.fit([(train, target)])
    theirs = HistGradientBoostingRegressor(**SETTINGS).fit(train.numpy(), target.double().numpy())
    np.testing.assert_allclose(baseline.predictor(fitted)((test, None)), theirs.predict(test.numpy()), rtol=1e-6)


def test_a_class_that_training_lacks_is_never_said() -> None:
    train = table(60)
    baseline = Boosting(4, 4)
    fitted = baseline.fit([(train, 2 * (train[:, 0] > 0).long())])
    logits = baseline.predictor(fitted)((train, None))
    assert set(logits.argmax(1).tolist()) == {0, 2}
    assert logits[:, [1, 3]].isneginf().all()


def test_a_rounded_threshold_compares_as_the_threshold_does() -> None:
    low, high = torch.tensor([1.0]), torch.nextafter(torch.tensor([1.0]), torch.tensor([2.0]))
    for share in (0.3, 0.5, 0.7):
        threshold = low.double() + share * (high.double() - low.double())
        assert low <= rounded_down(threshold) < high
