"""What a test of a forecaster shows."""

from typing import Any

import pytest
import torch
from torch import Tensor

from datamodules.series import Series
from lightning_modules.tasks.forecaster import Forecaster
from lightning_modules.tasks.pictures.figure import style
from lightning_modules.tasks.results.outcomes import Outcomes
from tests.helpers.cut_off import cut_off
from tests.helpers.recorded_board import RecordedBoard

HORIZON = 12


class Repeating(Forecaster):
    """Forecasts the last value."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, -1:, 0].repeat(1, self.horizon)


@pytest.fixture(scope="module")
def data() -> Series:
    data = Series("sunspots", window=132, horizon=HORIZON, season=132)
    data.setup()
    return data


def run_of(data: Series, rows: int | None) -> tuple[Repeating, Outcomes]:
    model = Repeating(HORIZON, 132, data.target_mean, data.target_std)
    examples = data.split_examples("test")
    positions = torch.arange(len(examples) if rows is None else rows)
    step = model.step(examples[positions])
    outcomes = Outcomes(positions, model.results().kept(None, step.prediction, step.target), data)
    model.tables = {"error by step ahead": (step.prediction - step.target).abs().mean(0)}
    return model, outcomes


def shown(model: Repeating, outcomes: Outcomes) -> RecordedBoard:
    board = RecordedBoard()
    before = torch.get_rng_state()
    with style(), torch.no_grad():
        model.show_results(board, outcomes)
    assert torch.equal(before, torch.get_rng_state())
    return board


def test_the_worst_windows_do_not_overlap_and_stand_beside_typical_ones_of_the_whole_split(data: Series) -> None:
    model, outcomes = run_of(data, None)
    board = shown(model, outcomes)
    titles = [axes.get_title() for axes in board.figures["forecasts"].axes]
    worst = [title for title in titles if title.startswith("worst")]
    assert len(worst) == 3
    assert len(titles) == 6
    first = outcomes.take(outcomes.worst(1))
    assert worst[0].startswith(f"worst, from {first.names()[0]}: mean absolute error {float(first['loss'][0]):.4g}")
    months = [int(title.split()[2][:4]) * 12 + int(title.split()[2][5:7]) for title in worst]
    assert all(abs(one - other) >= HORIZON for one in months for other in months if one != other)
    median = float(outcomes["loss"].median())
    for title in titles[::2]:
        assert float(title.rsplit(" ", 1)[1]) == pytest.approx(median, rel=0.05)


def test_the_baselines_errors_by_step_stand_beside_the_models(data: Series) -> None:
    model, outcomes = run_of(data, None)
    board = shown(model, outcomes)
    lines = board.figures["error by step ahead"].axes[0].lines
    assert [line.get_label() for line in lines] == ["model", "last value", "seasonal"]
    torch.testing.assert_close(
        torch.tensor(lines[0].get_ydata()), torch.tensor(lines[1].get_ydata()), rtol=1e-4, atol=0
    )
    seasonal = (model.seasonal(outcomes.batch(model.device)) - outcomes["target"]).abs().mean(0)
    torch.testing.assert_close(torch.tensor(lines[2].get_ydata()), seasonal, rtol=1e-4, atol=0, check_dtype=False)
    header = board.texts["error by step ahead"].splitlines()[0]
    assert header == "| step ahead | mean absolute error | last value | seasonal |"


@pytest.mark.parametrize("rows", [1, 2, None])
def test_every_picture_is_whole_even_of_one_example(rows: int | None, data: Series) -> None:
    board = shown(*run_of(data, rows))
    assert [*board.figures] == ["forecasts", "strip", "error by step ahead"]
    for figure in board.figures.values():
        assert not cut_off(figure)


def test_windows_that_cannot_be_read_again_leave_the_errors(data: Series) -> None:
    model, outcomes = run_of(data, 20)
    board = shown(model, Outcomes(outcomes.positions, outcomes.columns))
    assert [*board.figures] == ["error by step ahead"]


def test_predictions_that_are_no_numbers_are_shown(data: Series) -> None:
    model, outcomes = run_of(data, 30)
    columns: dict[str, Any] = {**outcomes.columns, "prediction": torch.full((30, HORIZON), torch.nan)}
    columns["loss"] = torch.full((30,), torch.nan)
    board = shown(model, Outcomes(outcomes.positions, columns, data))
    assert [*board.figures] == ["forecasts", "strip", "error by step ahead"]


def test_the_worst_batch_of_a_test_is_not_shown_without_its_dates(data: Series) -> None:
    model, outcomes = run_of(data, 5)
    board = RecordedBoard()
    board.names = outcomes.names()
    model.show(outcomes.batch(model.device), board)
    assert not board.figures
