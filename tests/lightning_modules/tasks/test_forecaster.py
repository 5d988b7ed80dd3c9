"""Results of forecasting, against the definitions."""

from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_modules.tasks.forecaster import Forecaster
from tests.helpers.recorded_board import RecordedBoard

MEAN, STD = 50.0, 20.0


class Rising(Forecaster):
    """Forecasts a rise by one standard deviation from the last value."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, -1:, 0].repeat(1, self.horizon) + 1


def test_last_value_and_seasonal_baseline_are_those_computed_by_hand() -> None:
    model = Rising(horizon=5, season=3, target_mean=10.0, target_std=2.0)
    inputs = torch.tensor([[[0.0], [1.0], [2.0], [3.0]], [[4.0], [3.0], [2.0], [-5.0]]])
    batch = (inputs, torch.zeros(2, 5))
    assert model.last_value(batch).tolist() == [[16.0] * 5, [0.0] * 5]
    assert model.seasonal(batch).tolist() == [[12, 14, 16, 12, 14], [16, 14, 0, 16, 14]]


def test_covariates_are_no_part_of_a_baseline() -> None:
    model = Rising(horizon=2, season=2)
    inputs = torch.randn(3, 4, 1)
    target = torch.zeros(3, 2)
    more = torch.cat([inputs, torch.randn(3, 4, 2)], dim=2)
    assert torch.equal(model.last_value((inputs, target)), model.last_value((more, target)))
    assert torch.equal(model.seasonal((inputs, target)), model.seasonal((more, target)))


@pytest.mark.parametrize("season", [None, 4])
def test_errors_are_in_the_targets_units_and_standardised(season: int | None) -> None:
    torch.manual_seed(0)
    inputs, target = torch.randn(30, 6, 1), MEAN + STD * torch.randn(30, 5)
    model = Rising(horizon=5, season=season, target_mean=MEAN, target_std=STD)
    pairs: Any = list(zip(inputs.split(7), target.split(7), strict=True))
    batches: DataLoader[Any] = DataLoader(pairs, batch_size=None)
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    result = trainer.test(model, batches, verbose=False)[0]
    last = inputs[:, -1:, 0].numpy() * STD + MEAN
    for prefix, forecast in {"test/": last + STD, "baseline/": last}.items():
        error = forecast - target.numpy()
        assert result[f"{prefix}mae"] == pytest.approx(np.abs(error).mean(), rel=1e-5)
        assert result[f"{prefix}rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-5)
        assert result[f"{prefix}mse"] == pytest.approx(((error / STD) ** 2).mean(), rel=1e-5)
    assert result["test/loss"] == pytest.approx(result["test/mse"], rel=1e-5)
    if season is None:
        assert not [name for name in result if "seasonal" in name]
    else:
        before = inputs[:, [2, 3, 4, 5, 2], 0].numpy() * STD + MEAN
        assert result["baseline/seasonal_mae"] == pytest.approx(np.abs(before - target.numpy()).mean(), rel=1e-5)
    errors = model.tables["error by step ahead"]
    np.testing.assert_allclose(errors, np.abs(last + STD - target.numpy()).mean(0), rtol=1e-5)
    board = RecordedBoard()
    model.show_results(board)
    assert board.texts["error by step ahead"].splitlines()[2] == f"| 1 | {errors[0]:.4g} |"


def test_a_prediction_is_a_row_for_each_step_ahead() -> None:
    model = Rising(horizon=2, target_mean=MEAN, target_std=STD)
    rows = model.predict_step(torch.tensor([[[0.0], [1.0]], [[0.0], [-1.0]]]))
    assert rows == [{"prediction": value} for value in (90.0, 90.0, 50.0, 50.0)]


def test_a_smaller_error_is_better() -> None:
    assert [Rising(horizon=2, monitor=f"val/{name}").mode for name in ("mae", "rmse", "mse", "loss")] == ["min"] * 4


def test_plots_forecast_and_truth_in_the_targets_units() -> None:
    board = RecordedBoard()
    model = Rising(horizon=3, target_mean=MEAN, target_std=STD)
    inputs, target = torch.randn(9, 6, 2), torch.randn(9, 3)
    model.show((inputs, target), board)
    axes = board.figures["forecasts"].axes
    assert len(axes) == 4
    past, truth, forecast, _ = (line.get_ydata() for line in axes[0].lines)
    np.testing.assert_allclose(past, inputs[0, :, 0] * STD + MEAN, rtol=1e-5)
    np.testing.assert_allclose(truth, target[0])
    np.testing.assert_allclose(forecast, [float(inputs[0, -1, 0] + 1) * STD + MEAN] * 3, rtol=1e-5)
