"""Why a run ended, and which epoch was its best, are in its results, for a resumed run as for one at once."""

import json
from pathlib import Path
from typing import Any

import pytest

from lightning_modules.mlp import MLP
from scripts.cli.run.experiment import Experiment
from tests.helpers.stopping import signalled

STILL = {"optimizer": {"lr": 1e-30}}  # no weight changes by so little
QUICK = {"accelerator": "cpu", "enable_progress_bar": False}


def run_of(logs: Path, trainer: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The results of a run of twelve steps an epoch."""
    given = {"data": {"batch_size": 32}} | options
    return Experiment("mlp", logs=str(logs), trainer=QUICK | trainer, **given).fit().results


@pytest.mark.parametrize(
    ("trainer", "reason", "text", "epoch", "step"),
    [
        ({"max_epochs": 2}, "max_epochs", "after epoch 2 of 2", 2, 24),
        ({"max_steps": 15}, "max_steps", "after epoch 2 of 2, step 15 of 15, as --trainer.max_steps has it", 2, 15),
        ({"max_steps": 24}, "max_steps", "after epoch 2 of 2, step 24 of 24, as --trainer.max_steps has it", 2, 24),
        ({"fast_dev_run": True}, "fast_dev_run", "after epoch 1 of 1, as --trainer.fast_dev_run has it", 1, 1),
    ],
)
def test_what_ended_a_run_is_told(
    trainer: dict[str, Any], reason: str, text: str, epoch: int, step: int, tmp_path: Path, capsys: Any
) -> None:
    end = run_of(tmp_path, trainer)["end"]
    assert end == {"reason": reason, "text": text, "epoch": epoch, "step": step}
    assert f"\nended:      {text}\n" in capsys.readouterr().out
    assert json.loads((tmp_path / "mlp" / "version_0" / "results.json").read_text(encoding="utf-8"))["end"] == end


def test_a_run_that_stops_early_says_for_want_of_what(tmp_path: Path, capsys: Any) -> None:
    found = run_of(tmp_path, {"max_epochs": 9}, early_stopping={"patience": 2}, model=STILL)
    assert found["end"] == {
        "reason": "early_stopping",
        "text": "after epoch 3 of 9: no better val/loss in 2 validations (--early_stopping.patience 2)",
        "epoch": 3,
        "step": 36,
    }
    assert (found["best_epoch"], found["best_step"]) == (1, 12)
    assert f"best:       epoch 1, val/loss {found['best']:.4g}" in capsys.readouterr().out


def test_a_run_that_loses_patience_with_its_last_epoch_is_complete(tmp_path: Path) -> None:
    found = run_of(tmp_path, {"max_epochs": 3}, early_stopping={"patience": 2}, model=STILL)
    assert found["end"]["reason"] == "max_epochs"


def test_a_run_that_time_ends_says_so(tmp_path: Path) -> None:
    end = run_of(tmp_path, {"max_epochs": 5000, "max_time": "00:00:00:01"})["end"]
    assert end["reason"] == "max_time"
    assert end["text"] == f"after epoch {end['epoch']} of 5000: --trainer.max_time was over"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"monitor": "val/accuracy", "mode": "max", "stopping_threshold": 0.1}, "val/accuracy reached the threshold"),
        ({"monitor": "val/loss", "divergence_threshold": 0.01}, "val/loss was beyond the threshold"),
    ],
)
def test_a_threshold_that_ends_a_run_is_told(options: dict[str, Any], text: str, tmp_path: Path) -> None:
    stopping = {"class_path": "lightning.pytorch.callbacks.EarlyStopping", "init_args": options}
    end = run_of(tmp_path, {"max_epochs": 9, "callbacks": [stopping]})["end"]
    assert end["reason"] == "early_stopping"
    assert end["text"] == f"after epoch 1 of 9: {text} of --trainer.callbacks"


def test_a_model_that_ends_its_training_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(self: MLP) -> None:
        self.trainer.should_stop = True

    monkeypatch.setattr(MLP, "on_train_epoch_end", ended)
    end = run_of(tmp_path, {"max_epochs": 9})["end"]
    assert (end["reason"], end["text"]) == ("stopped", "after epoch 1 of 9: a callback or the model asked for it")


KEPT = ("best", "best_epoch", "best_step", "end", "units", "mode", "modes", "monitor", "test")


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"trainer": {"max_epochs": 3}}, 20),  # the second epoch's
        ({"trainer": {"max_steps": 30}}, 29),
        ({"trainer": {"max_epochs": 9}, "early_stopping": {"patience": 1}, "model": STILL}, 13),
    ],
)
def test_a_resumed_run_tells_what_one_at_once_does(options: dict[str, Any], steps: int, tmp_path: Path) -> None:
    trainer = options.pop("trainer")
    at_once = run_of(tmp_path / "at once", trainer, **options)
    with signalled(steps), pytest.raises(SystemExit):
        run_of(tmp_path / "pieces", trainer, **options)
    folder = tmp_path / "pieces" / "mlp" / "version_0"
    resumed = Experiment(resume=str(folder)).fit().results
    (folder / "results.json").unlink()  # as if it had been killed when all but the test was done
    tested_again = Experiment(resume=str(folder)).fit().results
    for name in KEPT:
        assert resumed[name] == tested_again[name] == at_once[name], name


def test_the_best_of_an_earlier_versions_checkpoint_has_no_epoch(tmp_path: Path) -> None:
    experiment = Experiment("mlp", logs=str(tmp_path), trainer=QUICK | {"max_epochs": 1}).fit()
    checkpoints: Any = experiment.trainer.checkpoint_callback
    state = checkpoints.state_dict()
    assert state.pop("best_epoch") == 1
    checkpoints.load_state_dict(state)
    assert checkpoints.best_epoch is None
    assert checkpoints.state_dict() == state  # by which its own checkpoints are recognised
