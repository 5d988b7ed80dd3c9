"""Forecasting: the next values of a series."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric, MetricCollection

from datamodules.base import DataModule
from datamodules.baselines.baseline import Baseline
from lightning_modules.tasks.pictures.series import Window, forecasts
from lightning_modules.tasks.results.outcomes import Outcomes
from lightning_modules.tasks.results.results import Results
from lightning_modules.tasks.results.values import ForecastResults
from lightning_modules.tasks.shows.series import show_errors, show_windows
from lightning_modules.tasks.task import Board, Step, Task


class _ScaledMSE(MeanSquaredError):  # noqa: N818 (an error of statistics, not an exception)
    """Mean squared error of values divided by the target's standard deviation.

    Args:
        std: the target's standard deviation.
    """

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(preds / self.std, target / self.std)


class Forecaster(Task):
    """Squared error of the next values; a batch is `(inputs, target)`, and `forward(inputs)` gives (B, horizon).

    The inputs are (B, W, C), scaled, the target's past in channel 0; the output is scaled alike, and the target
    (B, horizon) is in its own units. Metrics: mae and rmse in the target's units; mse of the scaled target, as papers
    report it. The baseline repeats the last value; where the series has a season, a second one, `baseline/seasonal_mae`
    and so on, repeats the value one season earlier.

    Args:
        horizon: time steps to forecast.
        season: period of the series in time steps, at most W; None for no seasonal baseline.
        target_mean: of the training part, in the target's units.
        target_std: its standard deviation.
        kwargs: as for Task.
    """

    default_monitor = "val/mse"
    lower_is_better = frozenset({"loss", "mae", "rmse", "mse"})

    def __init__(
        self,
        horizon: int,
        season: int | None = None,
        target_mean: float = 0.0,
        target_std: float = 1.0,
        **kwargs: Any,
    ) -> None:
        self.target_std = target_std  # the metrics need it
        super().__init__(**kwargs)
        self.horizon = horizon
        self.season = season
        self.target_mean = target_mean

    @property
    def supports_ensembling(self) -> bool:
        """Yes."""
        return True

    def metrics(self) -> MetricCollection:
        """Mean absolute and root mean squared error in the target's units, mean squared error of the scaled target."""
        return MetricCollection(
            {
                "mae": MeanAbsoluteError(),
                "rmse": MeanSquaredError(squared=False),
                "mse": _ScaledMSE(self.target_std),
            }
        )

    def breakdown(self) -> dict[str, Metric]:
        """The mean absolute error of each step ahead."""
        return {"error by step ahead": MeanAbsoluteError(num_outputs=self.horizon)}

    def results(self) -> Results:
        """Values of each step ahead."""
        return ForecastResults(self.target_std)

    def in_units(self, scaled: Tensor) -> Tensor:
        """Scaled values in the target's units."""
        return scaled.float() * self.target_std + self.target_mean

    def units(self, target: str) -> dict[str, str]:
        """The target's, of the errors that are not relative to anything."""
        return {"mae": target, "rmse": target} if target else {}

    def step(self, batch: Any) -> Step:
        """Squared error of one batch."""
        inputs, target = batch
        output = self(inputs).float()
        loss = F.mse_loss(output, (target - self.target_mean) / self.target_std)
        return Step(loss, self.in_units(output), target)

    def baselines(self) -> dict[str, Callable[[Any], Any]]:
        """The last value; and the last season, where there is one."""
        return {"": self.last_value} | ({"seasonal_": self.seasonal} if self.season is not None else {})

    def learnable(self, data: DataModule) -> dict[str, Baseline]:
        """Those of the data."""
        return data.baselines()

    def last_value(self, batch: Any) -> Tensor:
        """The last value of each window, at every step ahead."""
        inputs, _ = batch
        return self.in_units(inputs[:, -1:, 0]).repeat(1, self.horizon)

    def seasonal(self, batch: Any) -> Tensor:
        """The value of the last season at each step ahead; repeated where the horizon is longer."""
        inputs, _ = batch
        assert self.season is not None
        ahead = torch.arange(self.horizon, device=inputs.device) % self.season
        return self.in_units(inputs[:, inputs.shape[1] - self.season + ahead, 0])

    def output_facts(self) -> dict[str, Any]:
        """The next values."""
        return {"kind": "values", "unit": "the target's own", "steps": "the first value follows the window's last row"}

    def predict_step(self, batch: Any, batch_idx: int = 0) -> list[dict[str, Any]]:
        """A row for each step ahead, window after window."""
        return [{"prediction": value} for value in self.in_units(self(batch)).flatten().cpu().tolist()]

    def show(self, batch: Any, board: Board) -> None:
        """Some windows with their targets and forecasts; those of a test are shown with their dates by its results."""
        if board.names:
            return
        inputs, target = batch
        some = torch.linspace(0, len(target) - 1, min(4, len(target)), device=target.device).round().long()
        forecast = self.in_units(self(inputs[some])).cpu()
        past = self.in_units(inputs[some][..., 0]).cpu()
        windows = [[Window(*parts)] for parts in zip(past, target[some].cpu(), forecast, strict=True)]
        board.figure("forecasts", forecasts(windows))

    def show_results(self, board: Board, outcomes: Outcomes | None = None) -> None:
        """Typical and worst windows, a long part of the test split, and the error of each step ahead."""
        if outcomes is not None:
            show_windows(self, board, outcomes)
        show_errors(self, board, outcomes)
