"""The plain loop trains as the Trainer does, and what is measured is what is printed."""

import copy
import re
from pathlib import Path

import pytest
import torch

from scripts.benchmark import main
from scripts.cli.command_line.recipes import resolve
from scripts.cli.measure import benchmark
from scripts.cli.measure.scaling import table
from scripts.cli.run.experiment import Experiment
from tests.helpers.kinds import one_of_each_kind
from tests.helpers.stopping import SMALLER


def fresh(*words: str) -> Experiment:
    """An experiment whose model has not been trained, on the CPU."""
    return benchmark.built(resolve([*words, "--trainer.accelerator", "cpu"]))


@pytest.mark.long
@pytest.mark.parametrize("name", one_of_each_kind())
def test_the_plain_loop_trains_every_kind(name: str, tmp_path: Path) -> None:
    run = fresh("--model", name)
    benchmark.shorten(run.options, run.data)
    trainer, model = benchmark.new_trainer(run, tmp_path)
    before = copy.deepcopy(model.state_dict())
    assert benchmark.plain_loop(model, run.data, trainer, epochs=1, max_steps=2) > 0
    assert any(not torch.equal(weight, before[weight_name]) for weight_name, weight in model.named_parameters())
    assert all(weight.isfinite().all() for weight in model.parameters())


def test_prints_the_medians_of_both(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    seconds = iter([9.0, 1.0, 2.0, 8.0])  # the first warms up; 2 is the others' median
    monkeypatch.setattr(benchmark, "STEPS", 4)
    monkeypatch.setattr(benchmark, "plain_loop", lambda *_, **__: next(seconds))
    main(["--model", "mlp", "--trainer.accelerator", "cpu"])
    out = capsys.readouterr().out
    assert re.search(r"ms a step +500.00 +\S+ +\d+\.\d{3}\n", out)
    assert re.search(r"examples a second +64 +", out)  # 4 steps of 32 examples
    assert re.search(r"start-up \d+\.\d s, peak memory \d+", out)


def row(processes: int, speed: float, gpu_memory: float = 0) -> dict[str, object]:
    figures: dict[str, object] = {"model": "mlp", "data": "digits", "device": "cpu", "precision": "32-true"}
    figures |= {"threads": 1, "steps": 180, "batch_size": 32, "warm_up": 20, "memory": 512e6}
    return figures | {"processes": processes, "examples_per_second": speed, "gpu_memory": gpu_memory}


def cells(line: str) -> list[str]:
    return re.split(r" {2,}", line.strip())


def test_efficiency_is_the_speed_of_several_over_as_many_times_that_of_one() -> None:
    *_, one, two, four = table([row(1, 1000), row(2, 1500), row(4, 3000, gpu_memory=2e9)]).splitlines()
    assert cells(one) == ["1", "32", "1", "1,000", "1.00", "512 MB"]
    assert cells(two) == ["2", "16", "1", "1,500", "0.75", "512 MB"]
    assert cells(four) == ["4", "8", "1", "3,000", "0.75", "512 MB, GPU 2,000 MB"]
    assert cells(table([row(2, 1500)]).splitlines()[-1])[4] == "-"  # there is nothing to compare with


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--devices"], "--devices needs a value, or several"),
        (["--devices", "1", "two"], "--devices: expected a whole number of at least 1, got two"),
        (["--devices", "0"], "--devices: expected a whole number of at least 1, got 0"),
        (
            ["--devices", "1", "2", "--trainer.devices", "2"],
            "--trainer.devices and --devices contradict each other; give --devices only",
        ),
    ],
)
def test_refuses_what_is_no_number_of_devices(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--model", "mlp", *words])
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"error: {expected}\n"


@pytest.mark.long
def test_measures_each_number_of_devices_in_processes_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    """Of a network whose batches take two steps of optimizers."""
    words = ["--model", "gan", "--devices", "1", "2", "--trainer.accelerator", "cpu", "--data.batch_size", "8"]
    main([*words, *SMALLER["gan"]])
    out, err = capfd.readouterr()
    assert not err
    one, two = (cells(line) for line in out.splitlines()[-2:])
    assert (one[:2], two[:2]) == (["1", "8"], ["2", "4"])
    speeds = [float(row[3].replace(",", "")) for row in (one, two)]
    assert one[4] == "1.00"
    assert float(two[4]) == pytest.approx(speeds[1] / (2 * speeds[0]), abs=0.01)


@pytest.mark.long
def test_says_once_why_it_cannot_be_measured(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--model", "mlp", "--devices", "2", "--trainer.accelerator", "cpu", "--data.batch_size", "1"])
    assert stop.value.code == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "cannot be sharded to 2 processes" in line


def test_the_plain_loop_learns_what_the_trainer_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(benchmark, "STEPS", 4)
    words = ["--model", "mlp", "--model.dropout", "0", "--model.optimizer", "SGD", "--model.optimizer.lr", "0.1"]
    run = fresh(*words, "--model.schedule", "constant")
    before = run.model.state_dict()
    benchmark.shorten(run.options, run.data)
    trainer, model = benchmark.new_trainer(run, tmp_path)
    plain = copy.deepcopy(run.model)
    benchmark.plain_loop(plain, run.data, trainer, epochs=1, max_steps=4)
    trainer.fit(model, run.data)
    for name, weight in model.state_dict().items():
        if name in dict(model.named_parameters()):
            assert not torch.equal(weight, before[name])
        torch.testing.assert_close(plain.state_dict()[name], weight)
