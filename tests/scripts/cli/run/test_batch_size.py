"""A batch size that is found: as large as memory and the training split allow, and then as good as a given one."""

import json
import math
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from scripts.cli.command_line.recipes import resolve
from scripts.cli.run import batch_size, experiment, folder
from scripts.cli.run.batch_size import FRACTION, largest, peak_of
from scripts.cli.run.experiment import Experiment
from scripts.find_rate import main as find_rate
from scripts.fit import main as fit
from tests.helpers.stopping import SHORT, compare, train

AUTO = ["--data.batch_size", "auto"]
ROOT = Path(__file__).resolve().parents[4]
MEASURE = """
import json
import torch
from scripts.cli.run import batch_size
from tests.scripts.cli.run.test_batch_size import prepared

run = prepared("--model", "transformer", "--trainer.precision", "32")
step, cpu = batch_size.step_of(*run), torch.device("cpu")
first = batch_size.peak_of(step, 2, cpu)
limit = first + 150e6
batch_size.memory = lambda device: limit / batch_size.FRACTION
found = batch_size.largest(*run).batch_size
print(json.dumps([found, first, batch_size.peak_of(step, found, cpu), limit]))
"""
CPU = torch.device("cpu")


def prepared(*words: str) -> Any:
    experiment = Experiment(resolve([*words, "--data.batch_size", "2", "--trainer.accelerator", "cpu"])).build()
    return experiment.model, experiment.data, [*experiment.techniques.values()], experiment.new_trainer()


def test_no_more_than_four_fifths_of_the_memory_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for memory, expected in ((225.0, 8), (224.9, 4)):  # of which 0.8 are what eight examples need, and a little less
        monkeypatch.setattr(batch_size, "peak_of", lambda step, size, device: 100 + 10 * size)
        monkeypatch.setattr(batch_size, "memory", lambda device, memory=memory: memory)
        assert largest(*prepared("--model", "mlp")).batch_size == expected


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (1000.0, 32),  # of 400 examples, an epoch has ten steps
        (100 + 8 * 10, 8),  # just so many
        (100 + 8 * 10 - 1, 4),
        (100 + 2 * 10, 2),
    ],
)
def test_doubles_until_memory_or_the_examples_are_used_up(
    budget: float, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def needed(_step: Any, size: int, _device: Any) -> float:
        tried.append(size)
        return 100 + 10 * size

    monkeypatch.setattr(batch_size, "peak_of", needed)
    monkeypatch.setattr(batch_size, "memory", lambda device: budget / FRACTION)
    found = largest(*prepared("--model", "mlp"))
    assert found.batch_size == expected
    assert ("memory" if expected < 32 else "10 steps") in found.reason
    assert max(tried) <= 2 * expected


def test_what_is_refused_by_the_device_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_size, "peak_of", lambda step, size, device: 1.0 if size <= 8 else math.inf)
    assert largest(*prepared("--model", "mlp")).batch_size == 8

    def step(size: int) -> None:
        raise torch.OutOfMemoryError("no memory")

    assert peak_of(step, 2, CPU) == math.inf


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="tells the peak of a step in Linux alone")
@pytest.mark.long
def test_a_step_of_the_size_that_is_found_takes_no_more_than_its_share() -> None:
    """In a process of its own: what was freed in this one, glibc would still hold."""
    done = subprocess.run([sys.executable, "-c", MEASURE], cwd=ROOT, check=True, capture_output=True, text=True)
    found, first, peak, limit = json.loads(done.stdout.splitlines()[-1])
    assert 8 <= found <= 128, "of 256 that the examples would allow"
    assert first < peak <= 1.05 * limit  # what was tried and was too much, glibc holds


def test_a_run_with_it_is_a_run_with_that_number(tmp_path: Path) -> None:
    words = ["--model", "mlp", *SHORT]
    assert train([*words, *AUTO, "--logs", str(tmp_path / "found")]) == 0
    found = tmp_path / "found" / "mlp" / "version_0"
    assert yaml.safe_load((found / "config.yaml").read_text())["data"]["init_args"]["batch_size"] == 32
    assert train([*words, "--data.batch_size", "32", "--logs", str(tmp_path / "given")]) == 0
    assert compare(found, tmp_path / "given" / "mlp" / "version_0") == []


def test_a_job_that_is_started_again_goes_on_with_what_it_began_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = ["--model", "mlp", *SHORT, *AUTO, "--logs", str(tmp_path)]
    monkeypatch.setattr(folder, "job", lambda: "slurm 7")
    assert train(words, stop=3) == 128 + signal.SIGTERM
    monkeypatch.setattr(folder, "started_again", lambda: True)
    monkeypatch.setattr(experiment, "largest", lambda *run: pytest.fail("it was found before"))
    assert train(words) == 0
    assert [path.name for path in (tmp_path / "mlp").iterdir()] == ["version_0"]
    results = json.loads((tmp_path / "mlp" / "version_0" / "results.json").read_text())
    assert results["test"]


@pytest.mark.parametrize(
    ("main", "words", "expected"),
    [
        (
            fit,
            ["--model", "gcn"],
            "--data.batch_size auto: every step of this data reads all of it, whatever the batch size; leave it out",
        ),
        (find_rate, ["--model", "mlp"], "--data.batch_size auto: only scripts/fit.py finds it; give a number"),
    ],
)
def test_where_it_cannot_be_found_is_said_in_one_line(
    main: Any, words: list[str], expected: str, capsys: Any, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*words, *AUTO, "--logs", str(tmp_path / "logs")])
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines() == [f"error: {expected}"]
    assert not (tmp_path / "logs").exists()


def test_too_little_memory_for_any_batch_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_size, "memory", lambda device: 1e6)
    with pytest.raises(ValueError, match=r"not even 2 examples fit into 0\.0 GB of cpu"):
        largest(*prepared("--model", "mlp"))
