"""The file of a test's predictions has every example, in every kind of run."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from scripts.experiment import Experiment

QUICK: dict[str, Any] = {"max_steps": 2, "max_epochs": 1, "enable_progress_bar": False}


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "test_predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("mlp", ["input", "target", "prediction", "probability", "correct", "loss"]),
        ("linear_regression", ["input", "target", "prediction", "error", "loss"]),
        ("gat", ["input", "target", "prediction", "probability", "correct", "loss"]),
        ("gcn", ["target", "prediction", "probability", "correct", "loss"]),
        ("lstm", ["input", "target", "prediction", "squared_error", "loss"]),
    ],
)
def test_every_test_example_is_in_it_once_worst_first(name: str, columns: list[str], tmp_path: Path) -> None:
    run = Experiment(name, trainer=QUICK, logs=str(tmp_path), pictures=False).fit()
    assert run.folder is not None
    rows = rows_of(run.folder)
    assert [*rows[0]] == ["index", "name", *columns]
    assert sorted(int(row["index"]) for row in rows) == list(range(len(run.data.splits.test)))
    losses = [float(row["loss"]) for row in rows]
    assert losses == sorted(losses, reverse=True)
    intervals = run.results["intervals"]
    assert intervals.keys() <= run.results["test"].keys()
    assert all(low <= run.results["test"][metric] <= high for metric, (low, high) in intervals.items())
    assert json.loads((run.folder / "results.json").read_text())["intervals"] == intervals
    if "correct" in columns:
        assert sum(int(row["correct"]) for row in rows) / len(rows) == pytest.approx(run.results["test"]["accuracy"])
    assert not (run.folder / "pictures").exists()


def test_names_are_files_and_lines_and_no_text_is_a_formula(tmp_path: Path) -> None:
    place = tmp_path / "my data 数据"
    place.mkdir()
    lines = [f'"=SUM({row}) {"好" if row % 2 else "bad"} thing",{"正" if row % 2 else "负"}\n' for row in range(80)]
    (place / "评论.csv").write_text("text,label\n" + "".join(lines), encoding="utf-8")
    run = Experiment(
        "attention_rnn", data=str(place / "评论.csv"), trainer=QUICK, logs=str(place / "logs"), pictures=False
    ).fit()
    assert run.folder is not None
    for row in rows_of(run.folder):
        file, line = row["name"].split(":")
        assert file == "评论.csv"
        number = int(line) - 2
        assert row["input"] == f"'=SUM({number}) {'好' if number % 2 else 'bad'} thing"
        assert row["target"] == ("正" if number % 2 else "负")


def test_the_examples_of_a_row_are_read_again_as_the_model_got_them(tmp_path: Path) -> None:
    from callbacks.loggers.outcomes import outcomes_of

    run = Experiment("mlp", trainer=QUICK, logs=str(tmp_path), pictures=False).fit()
    outcomes = outcomes_of(run.trainer)
    assert outcomes is not None
    worst = outcomes.take(outcomes.worst(5))
    inputs, target = worst.batch(run.model.device)
    assert target.tolist() == worst["target"].tolist()
    probabilities = run.model.eval()(inputs).softmax(-1)
    assert probabilities.flatten().tolist() == pytest.approx(worst["probabilities"].flatten().tolist(), rel=1e-4)
