"""More epochs for a run, finished or not."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from callbacks.run.checkpoint_file import read_checkpoint
from scripts.cli.command_line.recipes import read_yaml
from scripts.fit import main as fit
from tests.helpers.stopping import SHORT, train, unlike

MLP = ["--model", "mlp", *SHORT, "--data.batch_size", "32", "--trainer.log_every_n_steps", "1", "--lr", "0.01"]
CONSTANT = ["--model.schedule", "constant", "--model.warmup", "0"]


def finished(folder: Path, *words: str) -> Path:
    assert train([*MLP, *words, "--logs", str(folder)]) == 0
    return folder / "mlp" / "version_0"


def last(run: Path) -> dict[str, Any]:
    return read_checkpoint(run / "checkpoints" / "last.ckpt")


def rates(run: Path) -> list[float]:
    """The learning rate of each step."""
    lines = (run / "metrics.csv").read_text(encoding="utf-8").splitlines()
    column = next(place for place, name in enumerate(lines[0].split(",")) if name.startswith("lr-"))
    return [float(cells[column]) for line in lines[1:] if (cells := line.split(","))[column]]


@pytest.mark.parametrize("stops", [[], [6]])
def test_a_run_with_a_constant_rate_goes_on_as_if_it_had_been_longer_at_first(
    stops: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = finished(tmp_path / "whole", *CONSTANT, "--trainer.max_epochs", "4")
    pieces = finished(tmp_path / "pieces", *CONSTANT)
    results = json.loads((pieces / "results.json").read_text(encoding="utf-8"))
    for stop in stops:  # it is as exact where the longer run is stopped, and resumed with what it then has
        longer = ["--resume", str(pieces), "--trainer.max_epochs", "3"]
        assert train(longer, 2 * 4 + 2, signum=signal.SIGTERM) == 128 + signal.SIGTERM
        assert last(pieces)["global_step"] == 10, stop
        assert train(["--resume", str(pieces)]) == 0
    capsys.readouterr()
    assert train(["--resume", str(pieces), "--trainer.max_epochs", "4"]) == 0
    printed = capsys.readouterr().out
    assert "to 4 epochs, as if it had been asked for at first" in printed
    for part in ("state_dict", "optimizer_states", "callbacks"):
        assert not [each for each in unlike(last(whole)[part], last(pieces)[part]) if "Throughput" not in each]
    assert (whole / "metrics.csv").read_text().splitlines()[1:] == (pieces / "metrics.csv").read_text().splitlines()[1:]
    assert json.loads((pieces / "results_of_step_8.json").read_text(encoding="utf-8")) == results
    assert read_yaml(pieces / "config.yaml")["trainer"]["max_epochs"] == 4


@pytest.mark.parametrize("tail", ["continue", "restart", "hold"])
def test_a_schedule_that_depends_on_the_length_goes_on_as_is_asked_for(
    tail: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished(tmp_path, "--model.schedule", "linear")
    words = [] if tail == "continue" else ["--schedule_tail", tail]
    longer = ["--resume", str(run), "--trainer.max_epochs", "4", *words]
    assert train(longer, 10, signum=signal.SIGTERM) == 128 + signal.SIGTERM  # two steps later
    assert f"--schedule_tail {tail}; or " in capsys.readouterr().out
    assert train(["--resume", str(run)]) == 0
    before = [0.01 * (1 - step / 8) for step in range(8)]
    after = {
        "continue": [0.01 * (1 - step / 16) for step in range(8, 16)],
        "restart": before,
        "hold": [0.0] * 8,
    }
    assert rates(run) == pytest.approx(before + after[tail])


def test_a_run_that_is_not_made_longer_has_no_tail(refused: Any, tmp_path: Path) -> None:
    expected = "--schedule_tail hold: is for a run that is made longer: --resume RUN --trainer.max_epochs N"
    assert refused(fit, *MLP, "--schedule_tail", "hold", "--logs", str(tmp_path / "new")).startswith(expected)
    assert not (tmp_path / "new").exists()
    run = finished(tmp_path)
    assert "--trainer.max_epochs 1 (was 2)" in refused(fit, "--resume", str(run), "--trainer.max_epochs", "1")
    assert "with a larger --trainer.max_epochs trains it further" in refused(fit, "--resume", str(run))
    assert json.loads((run / "results.json").read_text(encoding="utf-8"))["test"]


def test_a_longer_run_is_tested_and_repeated_from_what_it_leaves(tmp_path: Path) -> None:
    from scripts import test as testing

    run = finished(tmp_path)
    assert train(["--resume", str(run), "--trainer.max_epochs", "3", "--schedule_tail", "restart"]) == 0
    testing.main(["--checkpoint", str(run)])
    assert train(["--config", str(run / "config.yaml"), "--logs", str(tmp_path)]) == 0
    assert "extended" not in read_yaml(tmp_path / "mlp" / "version_1" / "config.yaml")
