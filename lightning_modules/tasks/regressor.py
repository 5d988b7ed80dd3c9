"""Regression: a real number for each example."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MeanAbsoluteError, MeanSquaredError, MetricCollection, R2Score

from datamodules.base import DataModule
from datamodules.baselines.baseline import Baseline
from lightning_modules.tasks.results.outcomes import Outcomes
from lightning_modules.tasks.results.results import Results
from lightning_modules.tasks.results.values import ValueResults
from lightning_modules.tasks.shows.inputs import show_inputs
from lightning_modules.tasks.shows.tables import show_coefficients, show_residuals
from lightning_modules.tasks.task import Board, Step, Task


class Regressor(Task):
    """Squared error; a batch is `(inputs, target)`, and `forward(inputs)` gives (B,) standardised predictions.

    The loss is the mean squared error of the standardised target; the metrics mae, rmse and r2, and the predictions,
    are in the data's own units. The baseline always predicts the training split's mean.

    Args:
        target_mean: of the training split, in the data's units.
        target_std: its standard deviation.
        kwargs: as for Task.
    """

    default_monitor = "val/rmse"
    lower_is_better = frozenset({"loss", "mae", "rmse"})

    def __init__(self, target_mean: float = 0.0, target_std: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_mean = target_mean
        self.target_std = target_std

    @property
    def supports_ensembling(self) -> bool:
        """Yes."""
        return True

    def metrics(self) -> MetricCollection:
        """Mean absolute error, root mean squared error, and the coefficient of determination."""
        return MetricCollection({"mae": MeanAbsoluteError(), "rmse": MeanSquaredError(squared=False), "r2": R2Score()})

    def results(self) -> Results:
        """Values."""
        return ValueResults()

    def units(self, target: str) -> dict[str, str]:
        """The target's, of the errors that are not relative to anything."""
        return {"mae": target, "rmse": target} if target else {}

    def step(self, batch: Any) -> Step:
        """Squared error of one batch."""
        inputs, target = batch
        output = self(inputs)
        loss = F.mse_loss(output, (target - self.target_mean) / self.target_std)
        return Step(loss, output.float() * self.target_std + self.target_mean, target)

    def baselines(self) -> dict[str, Callable[[Any], Any]]:
        """The training split's mean."""
        return {"": self.mean}

    def learnable(self, data: DataModule) -> dict[str, Baseline]:
        """Those of the data."""
        return data.baselines()

    def mean(self, batch: Any) -> Tensor:
        """The training split's mean for every example."""
        _, target = batch
        return torch.full_like(target, self.target_mean)

    def coefficients_of_features(self) -> Tensor | None:
        """How much one more of each feature changes the prediction, (F,) in the target's units; None if not linear."""
        return None

    def show_results(self, board: Board, outcomes: Outcomes | None = None) -> None:
        """The residuals; of a table also the importance of its columns, and the coefficients of a linear model."""
        show_residuals(board, outcomes)
        show_inputs(self, board, outcomes)
        show_coefficients(self.coefficients_of_features(), board, outcomes)

    def output_facts(self) -> dict[str, Any]:
        """Numbers."""
        return {"kind": "values", "unit": "the target's own"}

    def predict_step(self, batch: Any, batch_idx: int = 0) -> list[dict[str, Any]]:
        """Each example's prediction."""
        values = self(batch).float() * self.target_std + self.target_mean
        return [{"prediction": value} for value in values.cpu().tolist()]
