"""The one object that the command line and a notebook share."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from callbacks.run.checkpoint_file import AtomicCheckpointIO, read_checkpoint
from datamodules.errors import UserError
from scripts.cli.command_line.keyword_arguments import words_of
from scripts.cli.command_line.recipes import ROOT
from scripts.cli.errors import UsageError
from scripts.experiment import Experiment
from scripts.fit import main as fit
from scripts.predict import main as predict
from tests.helpers.example_inputs import example_input
from tests.helpers.stopping import train

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


def test_a_folder_is_loaded_and_its_run_is_not_trained_anew(run: Experiment) -> None:
    assert run.folder is not None
    loaded = Experiment.load(run.folder, options=["--trainer.accelerator", "cpu"])
    with pytest.raises(UsageError, match=r"loaded to predict with; Experiment\(resume"):
        loaded.fit()
    assert loaded.predict(Path(ROWS)) == loaded.predict(ROWS) == run.predict(ROWS)


def test_what_was_built_is_trained_as_it_is(run: Experiment, tmp_path: Path) -> None:
    same = Experiment("mlp", data="breast_cancer", model={"hidden_size": 16}, trainer=TRAINER, logs=tmp_path).build()
    torch.rand(7)  # a notebook looks around
    assert same.fit().results["test"] == run.results["test"]
    other = Experiment("mlp", data="breast_cancer", model={"hidden_size": 16}, trainer=TRAINER, logs=tmp_path).build()
    for weight in other.model.parameters():
        torch.nn.init.zeros_(weight)
    assert other.fit().results["test"] != run.results["test"]
    assert other.fit().results["test"] == run.results["test"], "a further time all begins anew"


def test_a_batch_size_is_found_though_the_first_attempt_failed(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("a,label\n")
    run = Experiment("mlp", data={"dataset": rows, "batch_size": "auto"}, trainer=TRAINER, logs=tmp_path / "logs")
    with pytest.raises(UserError):
        run.fit()
    assert run.config["data"]["init_args"]["batch_size"] == "auto"
    rows.write_text("a,label\n" + "".join(f"{index},{index % 2}\n" for index in range(200)))
    assert run.fit().config["data"]["init_args"]["batch_size"] > 2


def test_without_a_best_checkpoint_the_last_one_predicts(tmp_path: Path) -> None:
    run = Experiment("mlp", data="breast_cancer", trainer={**TRAINER, "limit_val_batches": 0}, logs=tmp_path).fit()
    assert run.checkpoint is None
    assert len(run.predict(ROWS)) >= 2


OWN = "import torch\nclass MySGD(torch.optim.SGD):\n    pass\n"


def test_what_one_was_allowed_another_does_not_revoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_optimizer.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    sgd = {"class_path": "their_optimizer.MySGD", "init_args": {"lr": 0.01}}
    mine: dict[str, Any] = {"data": "breast_cancer", "model": {"optimizer": sgd}, "trainer": TRAINER, "logs": tmp_path}
    first = Experiment("mlp", **mine, allow=["their_optimizer"])
    with pytest.raises(UsageError, match="add --allow"):
        Experiment("mlp", **mine)
    assert len(first.fit().predict(ROWS)) >= 2
    assert first.checkpoint is not None
    with pytest.raises(UsageError, match="add --allow"):
        Experiment.load(first.checkpoint)
    loaded = Experiment.load(first.checkpoint, options=["--allow", "their_optimizer"])
    assert loaded.predict(ROWS) == first.predict(ROWS)
    assert first.fit().results["test"], "after all of them"


def test_a_checkpoint_does_not_need_the_logger_of_its_run(run: Experiment, tmp_path: Path) -> None:
    assert run.checkpoint is not None
    content = read_checkpoint(run.checkpoint)
    content["config"]["logger"] = "a_service_that_is_not_here"
    AtomicCheckpointIO().save_checkpoint(content, tmp_path / "best.ckpt")
    assert Experiment.load(tmp_path / "best.ckpt").predict(ROWS) == run.predict(ROWS)


def test_checkpoints_of_others_are_refused(tmp_path: Path) -> None:
    name = "lightning.pytorch.callbacks.ModelCheckpoint"
    trainer = {**TRAINER, "callbacks": [{"class_path": name}]}
    run = Experiment("mlp", data="breast_cancer", trainer=trainer, logs=tmp_path, allow=name)
    with pytest.raises(UsageError, match=r"--trainer\.callbacks: leave ModelCheckpoint out"):
        run.fit()


SCRIPT = """
from scripts.experiment import Experiment
trainer = {"max_epochs": 1, "accelerator": "cpu", "devices": 2, "enable_progress_bar": False}
for seed in (0, 1):
    run = Experiment("mlp", data="breast_cancer", trainer=trainer, logs="logs", seed_everything=seed).fit()
    rows = run.predict(%r)
if run.trainer.is_global_zero:
    print("rows", len(rows))
"""


@pytest.mark.long
def test_a_script_of_two_processes_goes_on_after_training(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT % str(ROWS))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "script.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "rows" in done.stdout


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
    assert words_of(None, {"inexact": False, "debug": False, "resume": None, "config": None, "data": None}) == []
    several = words_of(None, {"config": ["a.yaml", Path("b.yaml")], "debug": True})
    assert several == ["--config=a.yaml", "--config=b.yaml", "--debug"]
    numbers = {
        "model": {"hidden_size": np.int64(3), "class_weights": np.float32(0.5), "sizes": np.arange(2)},
        "data": {"files": [Path("a")]},
    }
    assert words_of(None, numbers) == [
        "--model.hidden_size=3",
        "--model.class_weights=0.5",
        "--model.sizes=[0, 1]",
        '--data.files=["a"]',
    ]
    with pytest.raises(UsageError, match=r"--model.optimizer: expected a plain value, or a class .*got type"):
        words_of(None, {"model": {"optimizer": torch.optim.SGD}})


def test_a_class_among_the_settings_is_parsed() -> None:
    sgd = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.5}}
    config = Experiment("mlp", model={"optimizer": sgd}).config
    assert config["model"]["init_args"]["optimizer"]["class_path"] == "torch.optim.SGD"
    assert config["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 0.5


def test_the_recipe_s_own_class_keeps_the_settings_that_are_not_given() -> None:
    before = Experiment("resnet").config["model"]["init_args"]["optimizer"]
    given = {"class_path": before["class_path"], "init_args": {"lr": 0.1}}
    after = Experiment("resnet", model={"optimizer": given}).config["model"]["init_args"]["optimizer"]
    assert after["init_args"] == before["init_args"] | {"lr": 0.1}


def write_points(file: Path) -> Path:
    rows = [f"{index},{index % 17},{'猫' if index % 17 > 8 else 'dog'}" for index in range(200)]
    file.write_text("\n".join(["id,a,kind", *rows]) + "\n", encoding="utf-8")
    return file


def test_a_check_shows_what_is_understood_and_what_may_be_wrong_and_trains_nothing(capsys: Any, tmp_path: Path) -> None:
    file = write_points(tmp_path / "点 1.csv")
    fit(
        [
            "--model",
            "mlp",
            "--data",
            str(file),
            "--data.batch_size",
            "auto",
            "--check",
            "--logs",
            str(tmp_path / "logs"),
        ]
    )
    out, err = capsys.readouterr()
    assert "点 1.csv, as it was understood:" in out
    assert "columns separated by commas, the header in line 1" in out
    assert "id=0, a=0 → dog" in out
    assert "- column id identifies the rows" in out
    assert "- column a gives the target kind away" in out
    assert err == ""
    assert not (tmp_path / "logs").exists()
    assert Experiment("mlp", data=str(file)).check() == out.rstrip("\n")


def test_a_run_on_own_data_shows_first_what_was_understood(capsys: Any, tmp_path: Path) -> None:
    words = ["--model", "mlp", "--data", str(write_points(tmp_path / "t.csv")), "--logs", str(tmp_path / "logs")]
    words += ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    assert train(words, 1) == 128 + signal.SIGTERM
    out = capsys.readouterr().out
    assert out.index("as it was understood") < out.index("parameters")
    fit(["--resume", str(tmp_path / "logs" / "mlp" / "version_0")])
    assert "understood" not in capsys.readouterr().out
    fit(["--model", "mlp", "--logs", str(tmp_path / "logs"), *words[6:]])
    assert "understood" not in capsys.readouterr().out
