"""What a test of a model of tables shows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression as Reference
from torch import Tensor

from datamodules.tabular import TabularClassification, TabularRegression
from lightning_modules.linear_regression import LinearRegression
from lightning_modules.mlp import MLP
from lightning_modules.tasks.pictures.figure import style
from lightning_modules.tasks.results.outcomes import Outcomes
from tests.helpers.cut_off import cut_off
from tests.helpers.recorded_board import RecordedBoard


def shown(model: Any, data: Any) -> dict[str, Any]:
    """The figures, by name."""
    model.eval()
    board = RecordedBoard()
    before = torch.get_rng_state()
    with style(), torch.no_grad():
        batch = data.split_examples("test")[torch.arange(len(data.splits.test))]
        step = model.step(batch)
        kept = model.results().kept(batch, *model.answers_of_test(batch, step))
        model.tables = {"confusion": torch.eye(getattr(model, "num_classes", 1), dtype=torch.long)}
        model.show_results(board, Outcomes(torch.arange(len(data.splits.test)), kept, data))
    assert torch.equal(before, torch.get_rng_state())
    for figure in board.figures.values():
        assert not cut_off(figure)
    return board.figures


def table(folder: Path, columns: dict[str, list[Any]], name: str = "table.csv") -> str:
    file = folder / name
    rows = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return str(file)


def of_data(model: type[Any], data: Any, **options: Any) -> Any:
    data.setup()
    arguments = {name: getattr(data, name) for name in data.provides if hasattr(data, name)}
    return model(**{name: value for name, value in arguments.items() if name != "label_names"}, **options)


def names_of(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_yticklabels()]


def lengths_of(figure: Any) -> list[float]:
    return [patch.get_width() for patch in figure.axes[0].patches]


def test_coefficients_are_those_of_least_squares_on_standardised_features(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    numbers = {"面积": random.normal(50, 20, 200), "rooms": random.normal(3, 1, 200)}
    city = random.choice(["Rome", "北京", "Oslo"], 200)
    price = 2 * numbers["面积"] - 30 * numbers["rooms"] + 10 * (city == "Rome") + random.normal(0, 1, 200)
    columns = {name: list(values) for name, values in numbers.items()} | {"city": list(city), "price": list(price)}
    data = TabularRegression(table(tmp_path, columns), target="price")
    model = of_data(LinearRegression, data)
    features, target = data.split_examples("train")[torch.arange(len(data.splits.train))]
    std = features.std(0, correction=0)
    standardised = (features - features.mean(0)) / std
    expected = Reference().fit(standardised.numpy(), target.numpy()).coef_
    with torch.no_grad():
        model.linear.weight[0] = torch.as_tensor(expected).float() / std / data.target_std
    found = dict(
        zip(names_of(shown(model, data)["coefficients"]), lengths_of(shown(model, data)["coefficients"]), strict=True)
    )
    order = np.argsort(-np.abs(expected))
    assert [*found] == [data.feature_names[place] for place in order]
    np.testing.assert_allclose([*found.values()], expected[order], rtol=1e-3, atol=1e-3)


def test_a_column_of_which_nothing_is_read_has_no_importance(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    kind = random.choice(["a", "b"], 120)
    columns = {
        "unused": list(random.normal(size=120)),
        "colour": [{"a": "red", "b": "blue"}[each] for each in kind],
        "kind": list(kind),
    }
    data = TabularClassification(table(tmp_path, columns), target="kind")
    model = of_data(MLP, data, hidden_size=4, num_layers=1, dropout=0.0)
    place_of = data.feature_names.index
    with torch.no_grad():
        model.network[0].weight.zero_()
        model.network[0].weight[0, place_of("colour=red")] = 1
        model.network[0].bias.zero_()
        model.network[-1].weight.zero_()
        model.network[-1].weight[0, 0] = 5
    figure = shown(model, data)["importance of columns"]
    assert names_of(figure) == ["colour", "unused"]
    lengths = lengths_of(figure)
    assert lengths[0] > 0.5
    assert lengths[1] == 0
    assert figure.axes[0].get_xlabel() == "increase of the cross-entropy"


@pytest.mark.parametrize("count", [1, 500])
def test_one_column_and_hundreds_with_long_and_chinese_names_are_whole(count: int, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    columns = {f"第{index}列 with a long name " * 3: list(random.normal(size=80).round(3)) for index in range(count)}
    data = TabularRegression(
        table(tmp_path, columns | {"目标 $": list(random.normal(size=80).round(3))}), header=True, batch_size=8
    )
    model = of_data(LinearRegression, data)
    figures = shown(model, data)
    assert {*figures} == {"residuals", "importance of columns", "coefficients"}
    assert len(names_of(figures["importance of columns"])) == min(count, 40)
    assert figures["residuals"].axes[0].get_xlabel() == r"true 目标 \$"


def test_the_parts_of_a_date_are_one_column(tmp_path: Path) -> None:
    days = [f"2024-{1 + row % 12:02d}-{1 + row % 28:02d}" for row in range(80)]
    data = TabularRegression(
        table(tmp_path, {"day": days, "x": list(range(80)), "y": [row**2 for row in range(80)]}),
        dates="parts",
        batch_size=8,
    )
    data.setup()
    columns = data.features_of_columns()
    assert [*columns] == ["day", "x"]
    assert columns["day"] == [name for name in data.feature_names if name.startswith("day ")]
    assert len(columns["day"]) > 1
    assert [name for names in columns.values() for name in names] == data.feature_names


class Lost(LinearRegression):
    """Predicts nothing but NaN."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * torch.nan


def test_predictions_that_are_no_numbers_leave_the_residuals(tmp_path: Path) -> None:
    data = TabularRegression()
    model = of_data(Lost, data)
    assert "importance of columns" not in shown(model, data)
