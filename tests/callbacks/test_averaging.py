"""The average of the weights is what is validated, tested and kept; the newest ones are what is trained on."""

import csv
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.optim.swa_utils import update_bn

from callbacks.averaging import Averaging
from callbacks.run.checkpoint_file import read_checkpoint
from callbacks.run.checkpoints import Checkpoints
from scripts.cli.evaluate import testing
from scripts.cli.run.experiment import Experiment
from tests.helpers.stopping import SHORT, compare, train

LARGE = ["--model.optimizer.lr", "0.02", "--model.schedule", "constant", "--model.dropout", "0"]
Weights = dict[str, Tensor]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Weights]:
    """The weights after each step that is averaged."""
    found: list[Weights] = []
    on_train_batch_end = Averaging.on_train_batch_end

    def recorded(self: Averaging, trainer: Any, pl_module: Any, *args: Any) -> None:
        before = self.count
        on_train_batch_end(self, trainer, pl_module, *args)
        if self.count > before:
            found.append({name: value.clone() for name, value in pl_module.state_dict().items()})

    monkeypatch.setattr(Averaging, "on_train_batch_end", recorded)
    return found


def run(folder: Path, name: str, *words: str) -> Path:
    assert train(["--model", name, *SHORT, *LARGE, *words, "--logs", str(folder)]) == 0
    return folder / name / "version_0"


def last(folder: Path) -> dict[str, Any]:
    return read_checkpoint(folder / "checkpoints" / "last.ckpt")


def assert_close(found: Weights, expected: Weights) -> None:
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=lambda text, name=name: f"{name}: {text}")  # type: ignore[misc]


def test_ema_is_the_moving_average_of_the_formula(seen: list[Weights], tmp_path: Path) -> None:
    checkpoint = last(run(tmp_path, "mlp", "--averaging.kind", "ema", "--averaging.decay", "0.3"))
    assert len(seen) == 8
    mean = seen[0]
    for count, weights in enumerate(seen[1:], start=1):
        decay = min(0.3, (1 + count) / (10 + count))
        mean = {name: decay * mean[name] + (1 - decay) * value for name, value in weights.items()}
    assert_close(checkpoint["state_dict"], mean)
    assert_close(checkpoint["newest_weights"], seen[-1])


def test_swa_is_the_mean_of_the_last_steps(seen: list[Weights], tmp_path: Path) -> None:
    words = ["--averaging.kind", "swa", "--averaging.start", "0.5"]
    checkpoint = last(run(tmp_path, "mlp", *words))
    assert len(seen) == 4  # of eight
    mean = {name: torch.stack([weights[name] for weights in seen]).mean(0) for name in seen[0]}
    assert_close(checkpoint["state_dict"], mean)
    assert_close(checkpoint["newest_weights"], seen[-1])


def test_accumulated_gradients_make_one_step(seen: list[Weights], tmp_path: Path) -> None:
    run(tmp_path, "mlp", "--averaging.kind", "ema", "--trainer.accumulate_grad_batches", "2")
    assert len(seen) == 4


@pytest.mark.parametrize("kind", ["ema", "swa"])
@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_the_average_is_what_is_validated_and_tested(name: str, kind: str, tmp_path: Path) -> None:
    folder = run(tmp_path, name, "--averaging.kind", kind, "--averaging.start", "0")
    with (folder / "metrics.csv").open() as file:
        validated = [float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]]
    best = folder / "checkpoints" / "best.ckpt"
    index = 1 if validated[1] < validated[0] else 0
    assert read_checkpoint(best)["global_step"] == [4, 8][index]
    for newest in (False, True):
        trained = Experiment.load(str(best))
        trained.data.setup("fit")
        if newest:
            trained.model.load_state_dict(read_checkpoint(best)["newest_weights"], strict=False)
        trainer = Trainer(
            logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
            limit_val_batches=2, accelerator="cpu", use_distributed_sampler=False,
        )  # fmt: skip
        loss = trainer.validate(trained.model, trained.data, verbose=False)[0]["val/loss"]
        assert (loss == pytest.approx(validated[index], rel=1e-5)) is not newest
    tested = json.loads((folder / "results.json").read_text())["test"]
    again = testing.test(["--trainer.limit_test_batches", "2"], [str(best)], None, None)
    assert again == pytest.approx(tested, rel=1e-5)


def test_training_continues_with_the_newest_weights(tmp_path: Path) -> None:
    plain, averaged = (last(run(tmp_path / str(len(words)), "cnn", *words)) for words in ([], ["--averaging.kind=ema"]))
    for name, value in averaged["newest_weights"].items():
        assert torch.equal(value, plain["state_dict"][name]), name


def test_a_run_stopped_in_a_validation_resumes_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--averaging.kind", "swa", "--averaging.start", "0"]
    whole = run(tmp_path / "whole", "cnn", *words)
    on_validation_batch_end = Checkpoints.on_validation_batch_end

    def signalled(self: Checkpoints, trainer: Any, *args: Any) -> None:
        if trainer.global_step == 8:
            os.kill(os.getpid(), signal.SIGTERM)
        on_validation_batch_end(self, trainer, *args)

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "on_validation_batch_end", signalled)
        command = ["--model", "cnn", *SHORT, *LARGE, *words, "--logs", str(tmp_path / "pieces")]
        assert train(command) == 128 + signal.SIGTERM
    pieces = tmp_path / "pieces" / "cnn" / "version_0"
    assert train(["--resume", str(pieces)]) == 0
    counts = "epoch_loop.val_loop"  # of validation batches: one was seen twice
    assert [found for found in compare(whole, pieces) if counts not in found] == []


@pytest.mark.parametrize("validated", ["2", "0"])
def test_batch_norms_have_the_averages_own_statistics(validated: str, tmp_path: Path) -> None:
    words = ["--averaging.kind", "swa", "--averaging.start", "0.5", "--data.shift", "2"]
    folder = run(tmp_path, "cnn", *words, "--trainer.limit_val_batches", validated)
    trained = Experiment.load(str(folder / "checkpoints" / "last.ckpt"))
    found = {name: value.clone() for name, value in trained.model.named_buffers() if "running" in name}
    assert found
    trained.data.setup("fit")
    images = [
        trained.data.on_after_batch_transfer(batch, 0)[0]  # not augmented outside training
        for batch in trained.data.training_batches(4)
    ]
    update_bn(images, trained.model)
    assert_close(found, {name: value for name, value in trained.model.named_buffers() if name in found})


@pytest.mark.parametrize(("option", "value"), [("decay", 1.0), ("decay", -0.1), ("start", 1.0), ("start", -0.1)])
def test_values_out_of_range_are_refused(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"--averaging.{option}: expected a fraction"):
        Averaging("ema", **{option: value})


def test_a_model_that_averages_its_own_weights_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert train(["--model", "gan", "--averaging.kind", "ema", "--logs", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: --averaging.kind ema: GAN averages its own weights")
