"""Lightning's limits and intervals, against the data: each has its effect, or is refused in one line."""

import json
from pathlib import Path
from typing import Any

import pytest

from scripts import test as testing
from scripts.cli.run.experiment import Experiment
from scripts.fit import main as fit

MLP = ["--model", "mlp", "--data.batch_size", "32", "--trainer.max_epochs", "2", "--trainer.accelerator", "cpu"]


def results_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "mlp" / "version_0" / "results.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["limit_train_batches", "0"],
            "limit_train_batches 0: leaves none of the 12 train batches; expected",
        ),
        (["limit_train_batches", "0.01"], "limit_train_batches 0.01: leaves none of the 12 train batches; expected at"),
        (
            ["limit_val_batches", "0.1"],
            "limit_val_batches 0.1: leaves none of the 2 val batches; expected at",
        ),
        (["limit_test_batches", "0.1"], "limit_test_batches 0.1: leaves none of the 4 test batches; expected at least"),
        (["overfit_batches", "0.01"], "overfit_batches 0.01: leaves none of the 12 train batches; expected at least 1"),
        (["val_check_interval", "13"], "val_check_interval 13: an epoch has 12 steps; expected at most as many, or "),
    ],
)
def test_what_leaves_nothing_is_refused_before_anything_is_written(
    words: list[str], expected: str, refused: Any, tmp_path: Path
) -> None:
    line = refused(fit, *MLP, f"--trainer.{words[0]}", words[1], "--logs", str(tmp_path))
    assert line.startswith(f"--trainer.{expected}")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "partial"),
    [
        (["limit_test_batches", "2"], {"test": "2 of 4 batches"}),
        (["limit_test_batches", "0"], {"test": "0 of 4 batches"}),
        (["limit_test_batches", "100"], {}),
        (["overfit_batches", "0.1"], {"train": "1 of 12 batches", "val": "1 of 2 batches"}),
        (["limit_val_batches", "0"], {"val": "0 of 2 batches"}),
    ],
)
def test_a_result_says_what_was_left_out(
    words: list[str], partial: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit([*MLP, f"--trainer.{words[0]}", words[1], "--logs", str(tmp_path)])
    printed = capsys.readouterr().out
    assert results_of(tmp_path)["partial"] == partial
    assert ("partial, " in printed) == bool(partial)
    assert ("not tested" in printed) == (words[1] == "0" and "test" in partial) == (not results_of(tmp_path)["test"])
    if words == ["limit_test_batches", "2"]:  # which a checkpoint keeps
        testing.main(["--checkpoint", str(tmp_path / "mlp" / "version_0")])
        assert "2 of 4 batches to test on" in capsys.readouterr().out


def test_a_trial_run_says_that_it_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit([*MLP, "--trainer.fast_dev_run", "true", "--logs", str(tmp_path)])
    assert "1 of 12 batches to train on an epoch, 1 of 2 batches to validate on, 1 of 4" in capsys.readouterr().out


def test_few_epochs_are_validated_however_rarely_that_is_asked_for(tmp_path: Path) -> None:
    rarely = {"max_epochs": 2, "check_val_every_n_epoch": 5, "accelerator": "cpu"}
    assert Experiment("mlp", logs=tmp_path, trainer=rarely).fit().results["best"] is not None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["EarlyStopping", "monitor=val/los"],
            "--trainer.callbacks.monitor val/los: expected one of val/loss, v",
        ),
        (["EarlyStopping", "monitor=val/accuracy"], "--trainer.callbacks.mode min: of val/accuracy a max is best"),
        (["ModelCheckpoint"], "--trainer.callbacks: leave ModelCheckpoint out; the best and the last checkpoint are"),
        (
            ["lightning.pytorch.callbacks.LearningRateFinder"],
            "--trainer.callbacks: leave LearningRateFinder out; ",
        ),
    ],
)
def test_a_callback_that_would_do_something_else_is_refused(words: list[str], expected: str, refused: Any) -> None:
    further = [f"--trainer.callbacks.{word}" for word in words[1:]]
    assert refused(fit, *MLP, "--trainer.callbacks", words[0], *further).startswith(expected)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["Muon"], "Muon only supports 2D parameters"),
        (["SparseAdam"], "SparseAdam does not support dense gradients"),
        (["Adam", "--model.optimizer.betas", "[1.5, 2]"], "Invalid beta parameter"),
    ],
)
def test_an_optimizer_that_does_not_fit_is_refused_before_anything_is_written(
    words: list[str], expected: str, refused: Any, tmp_path: Path
) -> None:
    line = refused(fit, *MLP, "--model.optimizer", *words, "--logs", str(tmp_path))
    assert line.startswith(f"--model.optimizer: {expected}")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "found"), [("bf16", "bf16-mixed"), ("32-true", "32"), ("64-true", "64"), ("16", "16-mixed")]
)
def test_precisions_are_read_in_all_spellings(given: str, found: str) -> None:
    assert Experiment("mlp", trainer={"precision": given}).config["trainer"]["precision"] == found


def test_a_profiler_prints_and_leaves_its_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit([*MLP, "--trainer.profiler", "simple", "--logs", str(tmp_path)])
    assert "run_training_batch" in (tmp_path / "mlp" / "version_0" / "fit-profile.txt").read_text(encoding="utf-8")
    printed = capsys.readouterr().out
    assert "run_training_batch" in printed
    assert "fit-profile.txt" in printed


def test_a_run_without_an_end_needs_a_schedule_without_a_length(refused: Any, tmp_path: Path) -> None:
    endless = ["--model", "mlp", "--trainer.max_epochs", "-1", "--trainer.max_time", "00:00:00:01"]
    assert refused(fit, *endless).startswith("--model.schedule cosine has to know the run's length")
    fit([*endless, "--model.schedule", "constant", "--model.warmup", "0", "--logs", str(tmp_path)])
    assert results_of(tmp_path)["test"]
