"""A run ends when it no longer improves, and continues counting when it is resumed."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.trainer.states import TrainerFn

from callbacks.early_stopping import ResumableEarlyStopping
from callbacks.run.checkpoint_file import read_checkpoint, write_checkpoint
from tests.helpers.stopping import SHORT, compare, in_pieces, train

# The first value stays the best: no later one is better by so much.
NEVER_BETTER = ["--early_stopping.patience", "3", "--early_stopping.min_delta", "1000"]
EPOCHS = ["--trainer.max_epochs", "9", "--trainer.limit_train_batches", "1"]


def test_training_ends_without_improvement_and_stays_ended_when_resumed(tmp_path: Path) -> None:
    assert train(["--model", "mlp", *SHORT, *EPOCHS, *NEVER_BETTER, "--logs", str(tmp_path)]) == 0
    run = tmp_path / "mlp" / "version_0"
    last = run / "checkpoints" / "last.ckpt"
    assert read_checkpoint(last)["global_step"] == 4  # the first value, and three that were no better
    results = json.loads((run / "results.json").read_text())
    (run / "results.json").unlink()  # as if it had been killed before the test
    assert train(["--resume", str(run)]) == 0
    assert read_checkpoint(last)["global_step"] == 4
    assert json.loads((run / "results.json").read_text())["test"] == results["test"]


def test_a_training_metric_is_monitored_too(tmp_path: Path) -> None:
    words = ["--model.monitor", "train/loss", "--logs", str(tmp_path)]
    assert train(["--model", "mlp", *SHORT, *EPOCHS, *NEVER_BETTER, *words]) == 0
    assert read_checkpoint(tmp_path / "mlp" / "version_0" / "checkpoints" / "last.ckpt")["global_step"] == 4


def test_what_improves_continues(tmp_path: Path) -> None:
    words = ["--early_stopping.patience", "9", "--logs", str(tmp_path)]
    assert train(["--model", "mlp", *SHORT, *EPOCHS, *words]) == 0
    assert read_checkpoint(tmp_path / "mlp" / "version_0" / "checkpoints" / "last.ckpt")["global_step"] == 9


def test_a_stopped_run_continues_counting(tmp_path: Path) -> None:
    whole, pieces = in_pieces("mlp", tmp_path, [2, 3], [*EPOCHS, *NEVER_BETTER])
    assert compare(whole, pieces) == []


def trainer_of(**metrics: float) -> Any:
    """What a callback looks at of a trainer after a validation."""
    strategy = SimpleNamespace(reduce_boolean_decision=lambda decision, all: decision)
    return SimpleNamespace(
        callback_metrics={name.replace("_", "/"): torch.tensor(value) for name, value in metrics.items()},
        state=SimpleNamespace(fn=TrainerFn.FITTING),
        sanity_checking=False,
        fast_dev_run=False,
        should_stop=False,
        current_epoch=0,
        strategy=strategy,
    )


def validations(technique: ResumableEarlyStopping, *values: float) -> int | None:
    """The index of the value after which training is stopped."""
    for index, value in enumerate(values):
        trainer = trainer_of(val_accuracy=value)
        technique.on_train_epoch_end(trainer, None)  # type: ignore[arg-type]  # does not count
        technique.on_validation_end(trainer, None)  # type: ignore[arg-type]
        if trainer.should_stop:
            return index
    return None


def prepared(patience: int, min_delta: float = 0.0, mode: str = "max") -> ResumableEarlyStopping:
    technique = ResumableEarlyStopping(patience, min_delta)
    technique.prepare(SimpleNamespace(monitor="val/accuracy", mode=mode), None)  # type: ignore[arg-type]
    return technique


@pytest.mark.parametrize(
    ("mode", "min_delta", "values", "stopped"),
    [
        ("max", 0.0, [1, 2, 2, 2], 3),
        ("min", 0.0, [3, 2, 2, 1, 1], None),
        ("max", 0.1, [0.5, 0.6, 0.59], None),  # 0.6 in 32 bits is more than 0.5 + 0.1 in 64
        ("max", 0.1, [0.5, 0.55, 0.59], 2),
        ("min", 0.25, [1, 0.75, 0.75], 2),  # by exactly min_delta does not count
        ("max", 0.0, [1, float("nan"), float("nan"), 2], 2),
        ("max", 0.0, [float("nan"), 1, 1, 2], None),
    ],
)
def test_stops_after_validations_without_improvement(
    mode: str, min_delta: float, values: list[float], stopped: int | None
) -> None:
    assert validations(prepared(2, min_delta, mode), *values) == stopped


@pytest.mark.parametrize(("mode", "best", "value"), [("max", 0.5, 0.5), ("min", -0.5, 0.5)])
def test_the_state_of_an_earlier_run_is_continued(mode: str, best: float, value: float) -> None:
    """Before this was Lightning's, it saved the best value, negative where less is better, and how many followed."""
    for waited, stopped in ((0, 2), (1, 1), (2, 0)):
        technique = prepared(3, mode=mode)
        technique.load_state_dict({"best": best, "waited": waited})
        assert validations(technique, *[value] * 4) == stopped
    first = prepared(3, mode=mode)
    first.load_state_dict({"best": None, "waited": 0})
    assert validations(first, *[value] * 5) == 3


def test_a_checkpoint_of_an_earlier_run_continues_counting(tmp_path: Path) -> None:
    words = ["--model", "mlp", *SHORT, *EPOCHS, *NEVER_BETTER, "--logs", str(tmp_path)]
    assert train(words, stop=2) == 143
    run = tmp_path / "mlp" / "version_0"
    last = run / "checkpoints" / "last.ckpt"
    checkpoint = read_checkpoint(last)
    state = checkpoint["callbacks"].pop("EarlyStopping")
    assert state["wait_count"] == 1
    checkpoint["callbacks"]["Patience"] = {"best": -float(state["best_score"]), "waited": 2}  # as if of one value more
    checkpoint["callbacks"]["Description"] = checkpoint["callbacks"].pop("RunMetadata")
    write_checkpoint(checkpoint, last)
    assert train(["--resume", str(run)]) == 0
    assert read_checkpoint(last)["global_step"] == 3


@pytest.mark.parametrize(("option", "value"), [("patience", 0), ("min_delta", -0.1)])
def test_values_out_of_range_are_refused(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"--early_stopping.{option}: expected at least"):
        ResumableEarlyStopping(**{option: value})  # type: ignore[arg-type]
