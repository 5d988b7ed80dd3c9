"""The columns of the table of runs: what a run's recipe has otherwise, and nothing else."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from scripts.cli.command_line.recipes import dump, resolve
from scripts.cli.run.experiment import Experiment
from scripts.cli.run.table_row import compared, row_of, searched_in

LOGS = Path("lightning_logs")
COMPARED = {"model.optimizer.lr": 0.001, "model.hidden_size": 128, "model.num_layers": 2, "model.dropout": 0.3}
PLAIN = {
    "model": "mlp",
    "data": "breast_cancer",
    "seed": 0,
    "data.batch_size": 32,
    "trainer.max_epochs": 60,
    **COMPARED,
}


def row(*words: str, logs: Path = LOGS) -> dict[str, Any]:
    experiment = Experiment(resolve([*words]))
    return row_of(experiment.request, experiment.config, logs)


def differing(*words: str) -> dict[str, Any]:
    found = row("--model", "mlp", *words)
    assert {*PLAIN} <= {*found}
    return {name: value for name, value in found.items() if PLAIN.get(name) != value}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", {}),
        ("--lr 0.001 --model.dropout 3e-1 --trainer.max_epochs 60 --data breast_cancer", {}),  # as the recipe has them
        ("--lr 1e-2 --epochs 5", {"model.optimizer.lr": 0.01, "trainer.max_epochs": 5}),
        ("--data.num_workers 2 --save_every '9 steps' --logger csv --trainer.enable_progress_bar false", {}),
        ("--model.schedule constant", {"model.schedule": "constant"}),
        ("--trainer.max_time 00:01:00:00", {"trainer.max_time": "00:01:00:00"}),
        ("--data.batch_size null", {"data.batch_size": "null"}),
        ("--early_stopping.patience 3", {"early_stopping.patience": 3}),
        (
            "--model.optimizer torch.optim.SGD --model.optimizer.momentum 0.9 --model.optimizer.nesterov false",
            {"model.optimizer": "SGD", "model.optimizer.momentum": 0.9},
        ),
    ],
)
def test_what_differs_from_the_recipe(words: str, expected: dict[str, Any]) -> None:
    found = differing(*shlex.split(words))
    assert found == expected
    assert {name: type(value) for name, value in found.items()} == {name: type(expected[name]) for name in found}


def test_the_settings_of_a_recipe_for_a_data_set_are_no_difference() -> None:
    about = resolve(["--model", "gat"]).about["data"]
    (special,) = [name for name, each in about.items() if "with" in each][:1]
    found = row("--model", "gat", "--data", special)
    assert {*found} == {"model", "data", "seed", *compared(resolve(["--model", "gat"]))}


def test_the_settings_of_a_configuration_file_are_differences(tmp_path: Path) -> None:
    config = Experiment("mlp", model={"dropout": 0.25}).config
    (tmp_path / "run.yaml").write_text(dump(config))
    assert row("--config", str(tmp_path / "run.yaml")) == PLAIN | {"model.dropout": 0.25}


def test_a_model_without_a_recipe_differs_from_its_constructor(tmp_path: Path) -> None:
    config = Experiment("mlp", model={"dropout": 0.25, "hidden_size": 32}).config
    config["about"]["name"] = "my_own"
    (tmp_path / "run.yaml").write_text(dump(config))
    found = row("--config", str(tmp_path / "run.yaml"))
    assert found["model"] == "my_own"
    assert (found["model.dropout"], found["model.optimizer"]) == (0.25, "AdamW")
    assert "model.label_smoothing" not in found


def test_the_trials_of_a_sweep_have_all_that_it_searches(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(
        "space:\n  model.optimizer.init_args.weight_decay: {log: [0.001, 1]}\n  model.warmup: {}\n"
    )
    found = row("--model", "mlp", "--lr", "0.5", logs=tmp_path / "trial_3")
    assert found == PLAIN | {"model.optimizer.lr": 0.5, "model.optimizer.weight_decay": 0.01, "model.warmup": 0.0}
    assert searched_in(tmp_path / "fold_3") == []
    (tmp_path / "sweep.yaml").write_text("space: [unreadable")
    assert searched_in(tmp_path / "trial_3") == []
