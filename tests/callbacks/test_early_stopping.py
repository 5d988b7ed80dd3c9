"""A run ends when it no longer gets better, and goes on waiting where it was stopped."""

import json
from pathlib import Path

import pytest

from callbacks.early_stopping import EarlyStopping
from callbacks.run.checkpoint_file import read_checkpoint
from tests.helpers.stopping import SHORT, compare, in_pieces, train

# What is first reached stands: no later value is better by so much.
NEVER_BETTER = ["--early_stopping.patience", "3", "--early_stopping.min_delta", "1000"]
EPOCHS = ["--trainer.max_epochs", "9", "--trainer.limit_train_batches", "1"]


def test_training_ends_when_patience_is_out_and_is_over_when_resumed(tmp_path: Path) -> None:
    assert train(["--model", "mlp", *SHORT, *EPOCHS, *NEVER_BETTER, "--logs", str(tmp_path)]) == 0
    run = tmp_path / "mlp" / "version_0"
    last = run / "checkpoints" / "last.ckpt"
    assert read_checkpoint(last)["global_step"] == 4  # the first value, and three that were no better
    results = json.loads((run / "results.json").read_text())
    (run / "results.json").unlink()  # as if it had been killed before the test
    assert train(["--resume", str(run)]) == 0
    assert read_checkpoint(last)["global_step"] == 4
    assert json.loads((run / "results.json").read_text())["test"] == results["test"]


def test_a_training_metric_is_waited_for_too(tmp_path: Path) -> None:
    words = ["--model.monitor", "train/loss", "--logs", str(tmp_path)]
    assert train(["--model", "mlp", *SHORT, *EPOCHS, *NEVER_BETTER, *words]) == 0
    assert read_checkpoint(tmp_path / "mlp" / "version_0" / "checkpoints" / "last.ckpt")["global_step"] == 4


def test_what_gets_better_goes_on(tmp_path: Path) -> None:
    words = ["--early_stopping.patience", "9", "--logs", str(tmp_path)]
    assert train(["--model", "mlp", *SHORT, *EPOCHS, *words]) == 0
    assert read_checkpoint(tmp_path / "mlp" / "version_0" / "checkpoints" / "last.ckpt")["global_step"] == 9


def test_a_stopped_run_goes_on_waiting(tmp_path: Path) -> None:
    whole, pieces = in_pieces("mlp", tmp_path, [2, 3], [*EPOCHS, *NEVER_BETTER])
    assert compare(whole, pieces) == []


@pytest.mark.parametrize(("option", "value"), [("patience", 0), ("min_delta", -0.1)])
def test_numbers_out_of_range_are_refused(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"--early_stopping.{option}: expected at least"):
        EarlyStopping(**{option: value})  # type: ignore[arg-type]
