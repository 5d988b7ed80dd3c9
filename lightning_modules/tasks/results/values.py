"""What a test of a regression, or of forecasts, keeps: the true and the predicted values."""

from typing import Any

import torch
from torch import Tensor

from lightning_modules.tasks.results.intervals import Intervals, Scores, of_blocks, of_sums
from lightning_modules.tasks.results.outcomes import Column, Outcomes
from lightning_modules.tasks.results.results import Results


class ValueResults(Results):
    """One value an example; the loss is the absolute error."""

    loss_name = "absolute error"

    def kept(self, batch: Any, prediction: Any, target: Any) -> dict[str, Column]:
        """Both values, and the absolute error."""
        predicted, true = prediction.detach().float().cpu(), target.float().cpu()
        return {"target": true, "prediction": predicted, "loss": (predicted - true).abs()}

    def rows(self, outcomes: Outcomes) -> dict[str, list[Any]]:
        """Both values, and the prediction's error."""
        return {
            "target": outcomes["target"].tolist(),
            "prediction": outcomes["prediction"].tolist(),
            "error": (outcomes["prediction"] - outcomes["target"]).tolist(),
            "loss": outcomes["loss"].tolist(),
        }

    def intervals(self, outcomes: Outcomes) -> Intervals:
        """Those of both errors and of the coefficient of determination."""
        true, error = outcomes["target"].double(), outcomes["loss"].double()
        centred = true - true.mean()  # for the numerics: the coefficient does not change
        statistics = torch.stack([torch.ones_like(true), error, error**2, centred, centred**2], dim=1)

        def scores(sums: Tensor) -> Scores:
            count, absolute, squared, total, total_squared = sums.unbind(1)
            variation = total_squared - total**2 / count
            return {
                "mae": absolute / count,
                "rmse": (squared / count).sqrt(),
                "r2": torch.where(variation > 0, 1 - squared / variation, torch.nan),
            }

        return of_sums(statistics, scores)


class ForecastResults(Results):
    """Several values an example, one for each step ahead; the loss is the mean absolute error.

    Args:
        std: the target's standard deviation, by which papers scale the squared error.
    """

    loss_name = "mean absolute error"

    def __init__(self, std: float) -> None:
        self.std = std

    def kept(self, batch: Any, prediction: Any, target: Any) -> dict[str, Column]:
        """All values, and the mean absolute error."""
        predicted, true = prediction.detach().float().cpu(), target.float().cpu()
        return {"target": true, "prediction": predicted, "loss": (predicted - true).abs().mean(1)}

    def rows(self, outcomes: Outcomes) -> dict[str, list[Any]]:
        """All values, and the mean squared error."""
        squared = (outcomes["prediction"] - outcomes["target"]).square().mean(1)
        return {
            "target": outcomes["target"].tolist(),
            "prediction": outcomes["prediction"].tolist(),
            "squared_error": squared.tolist(),
            "loss": outcomes["loss"].tolist(),
        }

    def intervals(self, outcomes: Outcomes) -> Intervals:
        """Those of the errors, by blocks of successive windows, for windows that overlap are not independent."""
        error = (outcomes["prediction"] - outcomes["target"]).double()
        statistics = torch.stack([torch.ones(len(error)).double(), error.abs().mean(1), error.square().mean(1)], dim=1)

        def scores(sums: Tensor) -> Scores:
            count, absolute, squared = sums.unbind(1)
            return {
                "mae": absolute / count,
                "rmse": (squared / count).sqrt(),
                "mse": squared / count / self.std**2,
            }

        overlap = error.shape[1] if outcomes.data is None else outcomes.data.dependent_examples()
        return of_blocks(statistics, scores, overlap)
