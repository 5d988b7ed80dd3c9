"""Linear baselines: logistic regression and ridge regression on the features that the model reads."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from datamodules.baselines.baseline import Baseline, Fitted, Predictor

MAX_ITERATIONS = 500  # of L-BFGS
MAX_VALUES = 20_000_000  # that are fitted to, features times examples: a few seconds


def max_examples(num_features: int, values: int = MAX_VALUES, most: int = 100_000) -> int:
    """How many examples of so many features a few seconds are enough for."""
    return min(most, max(1000, values // max(num_features, 1)))


def logistic_regression(features: Any, labels: Tensor, num_classes: int) -> Fitted:
    """Logistic regression as scikit-learn has it by default.

    Args:
        features: (N, F) array, dense or of scipy's sparse ones.
        labels: (N,) class of each example.
        num_classes: C

    Returns:
        `weight` (C, F) and `bias` (C,), which is -inf for a class that does not occur.
    """
    from sklearn.linear_model import LogisticRegression  # takes a second to import

    model = LogisticRegression(max_iter=MAX_ITERATIONS).fit(features, labels.numpy())
    coefficients, intercepts = torch.from_numpy(model.coef_).float(), torch.from_numpy(model.intercept_).float()
    if len(model.classes_) == 2:  # for two classes scikit-learn has the second one's log-odds only
        coefficients = torch.cat([torch.zeros_like(coefficients), coefficients])
        intercepts = torch.cat([torch.zeros_like(intercepts), intercepts])
    weight = torch.zeros(num_classes, features.shape[1])
    bias = torch.full((num_classes,), -torch.inf)
    weight[model.classes_] = coefficients
    bias[model.classes_] = intercepts
    return {"weight": weight, "bias": bias}


def gathered(batches: Iterable[Any]) -> tuple[Tensor, Tensor]:
    """The features (N, F) and the targets (N,) of all batches."""
    parts = [(inputs.flatten(1).float(), target) for inputs, target in batches]
    inputs, targets = zip(*parts, strict=True)
    return torch.cat(inputs), torch.cat(targets)


class Logistic(Baseline):
    """Logistic regression; a batch is `(features, classes)`.

    Args:
        num_features: F
        num_classes: C
    """

    def __init__(self, num_features: int, num_classes: int) -> None:
        self.num_classes = num_classes
        self.max_examples = max_examples(num_features)

    def fit(self, batches: Iterable[Any]) -> Fitted:
        """The weights."""
        features, labels = gathered(batches)
        return logistic_regression(features.numpy(), labels, self.num_classes)

    def predictor(self, fitted: Fitted) -> Predictor:
        """Logits (B, C)."""
        return lambda batch: batch[0].flatten(1).float().cpu() @ fitted["weight"].T + fitted["bias"]


class Ridge(Baseline):
    """Ridge regression of the standardised target; a batch is `(features, values)`.

    Hoerl & Kennard 1970, https://doi.org/10.1080/00401706.1970.10488634.

    Args:
        num_features: F
        penalty: of the squared weights, relative to the sum of the squared errors, as scikit-learn has it by default.
    """

    def __init__(self, num_features: int, penalty: float = 1.0) -> None:
        self.penalty = penalty
        self.max_examples = max_examples(num_features)

    def fit(self, batches: Iterable[Any]) -> Fitted:
        """The weights, by the normal equations of all batches."""
        return ridge_regression(((inputs.flatten(1), target) for inputs, target in batches), self.penalty)

    def predictor(self, fitted: Fitted) -> Predictor:
        """Values (B,), or (B, H) where the target has several, in the target's units."""
        weight, bias = torch.atleast_2d(fitted["weight"]).T, fitted["bias"]
        return lambda batch: (batch[0].flatten(1).float().cpu() @ weight).view(-1, *bias.shape) + bias


def ridge_regression(parts: Iterable[tuple[Tensor, Tensor]], penalty: float) -> Fitted:
    """The least squares of a linear function with a penalty on its weights, but not on its constant.

    Args:
        parts: (N, F) inputs with (N,) or (N, H) targets; added up, never kept.
        penalty: of the squared weights, for a target of variance 1.

    Returns:
        `weight` (F,) or (H, F), and `bias`, a scalar or (H,).

    Raises:
        ValueError: the equations have no finite solution.
    """
    count, shape = 0, torch.Size()
    sums: list[Tensor] = []
    for inputs, target in parts:
        x, y = inputs.cpu().double(), target.cpu().double()
        count, shape = count + len(x), y.shape[1:]
        y = y.reshape(len(y), -1)
        found = [x.sum(0), y.sum(0), x.T @ x, x.T @ y]
        sums = [total + part for total, part in zip(sums, found, strict=True)] if sums else found
    mean_x, mean_y = sums[0] / count, sums[1] / count
    squares = sums[2] - count * torch.outer(mean_x, mean_x)
    products = sums[3] - count * torch.outer(mean_x, mean_y)
    squares.diagonal().add_(penalty)
    weight = torch.linalg.lstsq(squares, products).solution.T  # (H, F)
    if not weight.isfinite().all():
        raise ValueError("the equations have no finite solution")
    bias = mean_y - weight @ mean_x
    return {"weight": weight.reshape(*shape, -1).float(), "bias": bias.reshape(shape).float()}
