"""The one object that the command line and a notebook share."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.errors import UserError
from scripts.cli.command_line.recipes import words_of
from scripts.cli.errors import UsageError
from scripts.experiment import Experiment
from scripts.fit import main as fit
from scripts.predict import main as predict
from tests.helpers.example_inputs import example_input

TRAINER = {"max_epochs": 2, "accelerator": "cpu", "enable_progress_bar": False}
ROWS = example_input("mlp")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """A trained experiment, as a notebook has it."""
    logs = tmp_path_factory.mktemp("logs")
    return Experiment("mlp", data="breast_cancer", model={"hidden_size": 16}, trainer=TRAINER, logs=logs).fit()


def test_is_the_run_that_the_same_command_line_gives(run: Experiment, tmp_path: Path) -> None:
    words = ["--model", "mlp", "--data", "breast_cancer", "--model.hidden_size", "16", "--logs", str(tmp_path)]
    words += ["--trainer.max_epochs", "2", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    fit(words)
    assert run.folder is not None
    of_line = json.loads((tmp_path / "mlp" / "version_0" / "results.json").read_text())
    assert run.results["test"] == of_line["test"]
    assert (run.folder / "config.yaml").read_text() == (tmp_path / "mlp" / "version_0" / "config.yaml").read_text()
    assert json.loads((run.folder / "results.json").read_text())["test"] == run.results["test"]


def test_its_model_is_the_one_that_was_tested(run: Experiment) -> None:
    assert run.checkpoint is not None
    best = torch.load(run.checkpoint, weights_only=True)["state_dict"]
    assert all(torch.equal(value, best[name]) for name, value in run.model.state_dict().items())


def test_predicts_the_rows_that_predict_writes(run: Experiment, tmp_path: Path) -> None:
    rows = run.predict(ROWS)
    predict(["--checkpoint", str(run.folder), "--input", str(ROWS), "--output", str(tmp_path / "rows.csv")])
    with (tmp_path / "rows.csv").open(encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    assert [str(row["prediction"]) for row in rows] == [row["prediction"] for row in written]
    assert len(rows) == len(written) >= 2
    loaded = Experiment.load(str(run.folder))
    assert loaded.predict(ROWS) == rows == run.predict(ROWS), "however often"


def test_is_resumed_and_repeated_by_name(run: Experiment, tmp_path: Path) -> None:
    assert run.folder is not None
    again = Experiment(config=run.folder / "config.yaml", logs=tmp_path).fit()
    assert again.results["test"] == run.results["test"]
    with pytest.raises(UserError, match="this run has finished"):
        Experiment(resume=run.folder).fit()


@pytest.mark.parametrize(
    ("arguments", "settings", "expected"),
    [
        (["gta"], {}, "no such model; did you mean gat"),
        (["mlp"], {"data": "nowhere/rows.csv"}, "there is no such file"),
        (["mlp"], {"model": {"hiden_size": 3}}, "did you mean --model.hidden_size"),
        (["mlp"], {"trainer": {"max_epochs": "many"}}, "--trainer.max_epochs: expected"),
        ([], {}, "which model"),
    ],
)
def test_raises_what_the_command_line_would_print(arguments: list[str], settings: Any, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        Experiment(*arguments, **settings)


def test_nothing_is_predicted_before_anything_is_trained() -> None:
    with pytest.raises(UsageError, match="nothing is trained"):
        Experiment("mlp").predict(ROWS)


def test_settings_are_words() -> None:
    settings: dict[str, Any] = {
        "data": {"dataset": "我的 数据", "batch_size": None},
        "model": {"optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}}},
        "trainer": {"devices": [0, 1]},
        "logs": Path("logs"),
        "inexact": True,
        "allow": ["a", "b.C"],
    }
    assert words_of("mlp", settings) == [
        "--model=mlp",
        "--data.dataset=我的 数据",
        "--data.batch_size=null",
        '--model.optimizer={"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}}',
        "--trainer.devices=[0, 1]",
        "--logs=logs",
        "--inexact",
        "--allow=a",
        "--allow=b.C",
    ]
    assert words_of(None, {"inexact": False}) == []


def test_a_class_among_the_settings_is_parsed() -> None:
    sgd = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.5}}
    config = Experiment("mlp", model={"optimizer": sgd}).config
    assert config["model"]["init_args"]["optimizer"]["class_path"] == "torch.optim.SGD"
    assert config["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 0.5
