"""A linear autoregression: the next values as a linear function of the past."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from datamodules.baselines.baseline import Baseline, Fitted, Predictor
from datamodules.baselines.linear import ridge_regression

MAX_INPUTS = 1024  # values of a window; of longer ones the last values of the target alone are read
OPERATIONS = 1e10  # a few seconds


class Autoregression(Baseline):
    """Ridge regression of the horizon on the window, one linear function for each step ahead.

    Yule 1927, https://doi.org/10.1098/rsta.1927.0007. A batch is `(windows, values)`: (B, W, C), standardised, the
    target first, and (B, H) in the target's own units.

    Args:
        window: W
        num_features: C
        mean: of the target, in its own units.
        std: its standard deviation.
        penalty: of the squared weights, relative to the sum of the squared errors.
    """

    def __init__(self, window: int, num_features: int, mean: float, std: float, penalty: float = 1.0) -> None:
        self.all_columns = window * num_features <= MAX_INPUTS
        self.mean, self.std = mean, std
        self.penalty = penalty
        inputs = min(window * (num_features if self.all_columns else 1), MAX_INPUTS)
        self.max_examples = int(min(100_000, max(5_000, OPERATIONS / inputs**2)))

    def inputs(self, windows: Tensor) -> Tensor:
        """(B, W, C) → (B, F)"""
        if self.all_columns:
            return windows.flatten(1).cpu().double()
        return windows[:, -MAX_INPUTS:, 0].cpu().double()

    def fit(self, batches: Iterable[Any]) -> Fitted:
        """`weight` (H, F) and `bias` (H,), of the standardised target."""
        scaled = ((self.inputs(windows), (target.cpu().double() - self.mean) / self.std) for windows, target in batches)
        return ridge_regression(scaled, self.penalty)

    def predictor(self, fitted: Fitted) -> Predictor:
        """Values (B, H), in the target's units."""
        weight, bias = fitted["weight"].double(), fitted["bias"].double()
        return lambda batch: ((self.inputs(batch[0]) @ weight.T + bias) * self.std + self.mean).float()
