"""What training costs is added up, told in words, and computed without changing anything."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from callbacks.run import costs
from callbacks.run.costs import BETWEEN, DATA, OTHER, SAVING, STEP, TRACE, VALIDATION, Costs, parts_of
from scripts.experiment import Experiment
from scripts.fit import main


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(costs, "time", clock)
    return clock


def spend(profiler: Costs, clock: Clock, tree: dict[str, Any], seconds: float = 1.0) -> None:
    """Each action takes a second besides what is in it."""
    for name, inner in tree.items():
        with profiler.profile(name):
            clock.now += seconds
            spend(profiler, clock, inner, seconds)


def test_the_innermost_action_counts_and_a_validation_has_all_that_is_in_it(clock: Clock) -> None:
    profiler = Costs()
    profiler.setup("fit")
    in_step: dict[str, Any] = {"[LightningModule]MLP.optimizer_step": {"[Callback]Throughput.on_after_backward": {}}}
    inner: dict[str, Any] = {"[Callback]Progress.on_validation_batch_end": {}}
    validation = {"[Strategy]SingleDeviceStrategy.validation_step": inner}
    epoch = {
        "[_TrainingEpochLoop].train_dataloader_next": {},
        "run_training_batch": in_step,
        **validation,
        "[Callback]Checkpoints.on_validation_end": {"save_checkpoint": {}},
    }
    with profiler.profile("[Callback]Progress.on_fit_start"):
        clock.now += 100  # before training
    spend(profiler, clock, {"run_training_epoch": epoch})
    assert dict(profiler.seconds) == {OTHER: 2, DATA: 1, STEP: 2, VALIDATION: 2, SAVING: 2}
    text = profiler.summary()
    assert text.startswith("what 9.0 s of training, without traced steps, were spent on; no trace: the run has only 1")
    assert f"\n 22.2%  {SAVING}\n" in text


def test_what_an_error_has_ended_is_not_counted_on(clock: Clock) -> None:
    profiler = Costs()
    profiler.setup("fit")
    profiler.start("run_training_epoch")
    profiler.start("save_checkpoint")  # which never ends
    clock.now += 1
    profiler.stop("run_training_epoch")
    clock.now += 5
    profiler.start("[Callback]Watchdog.on_train_end")
    assert sum(profiler.seconds.values()) == profiler.seconds[SAVING] == 1


def test_operations_are_told_by_families_and_python_is_the_rest() -> None:
    found = parts_of({"aten::addmm": 3e5, "aten::mm": 1e5, "aten::mkldnn_convolution": 2e5}, 1.0)
    shares = {"matrix products (addmm)": 0.4, "convolutions (mkldnn_convolution)": 0.2, BETWEEN: 0.4}
    assert found == pytest.approx(shares)
    assert parts_of({"aten::add": 2e6}, 1.0)[BETWEEN] == 0, "other threads compute as well"


def test_a_run_is_the_same_with_its_costs_and_prints_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words: dict[str, Any] = {"trainer": {"max_epochs": 2, "accelerator": "cpu"}, "logger": "none", "baselines": False}
    plain = Experiment("mlp", logs="plain", **words).fit()
    capsys.readouterr()
    measured = Experiment("mlp", logs="costs", profile=True, **words).fit()
    out = capsys.readouterr().out
    for name, weight in plain.model.state_dict().items():
        assert torch.equal(weight, measured.model.state_dict()[name]), name
    assert plain.results["test"] == measured.results["test"]
    assert "steps 6 to 15 are in the trace" in out
    assert "%  optimizer" in out
    assert f"profile:    costs/mlp/version_0/{TRACE}" in out
    assert measured.folder is not None
    events = json.loads((measured.folder / TRACE).read_text())["traceEvents"]
    assert any(event.get("name") == "aten::addmm" for event in events)
    assert "profile" not in (measured.folder / "config.yaml").read_text().replace("profiler", "")


def test_two_profilers_contradict_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--model", "mlp", "--profile", "--trainer.profiler", "simple"])
    assert stop.value.code == 2
    assert "--profile and --trainer.profiler contradict each other" in capsys.readouterr().err
