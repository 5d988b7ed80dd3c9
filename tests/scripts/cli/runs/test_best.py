"""The best of several runs."""

import os
from pathlib import Path
from typing import Any

import pytest

from scripts import runs
from tests.helpers.recorded_runs import write_run

WINE = ("--model", "mlp", "--data", "wine")


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    logs = tmp_path / "logs"
    write_run(logs / "mlp" / "version_0", best=0.3, test={"accuracy": 0.99, "loss": 0.4})
    write_run(logs / "mlp" / "version_1", best=0.2, test={"accuracy": 0.95, "loss": 0.5})
    write_run(logs / "mlp" / "version_2", best=0.1, test={"accuracy": 1.0, "loss": 0.1}, partial={"test": "8 of 30"})
    write_run(logs / "mlp" / "version_3", test=None)
    return logs


def best(capsys: Any, logs: Path, *words: str) -> tuple[str, str]:
    """The folder that is printed, and the note."""
    runs.main(["best", *words, "--logs", str(logs)])
    printed = capsys.readouterr()
    return os.path.relpath(printed.out.strip(), logs), printed.err.strip()


@pytest.mark.parametrize(
    ("words", "expected", "note"),
    [
        ([], "mlp/version_1", "note: val/loss 0.2, the minimum of 2 runs"),  # less is better
        (["--metric", "val/loss"], "mlp/version_1", "note: val/loss 0.2, the minimum of 2 runs"),
        (["--metric", "accuracy"], "mlp/version_0", "note: accuracy 0.99, the maximum of 2 runs"),
        (["--metric", "test/accuracy"], "mlp/version_0", "note: test/accuracy 0.99, the maximum of 2 runs"),
        (["--metric", "test/loss"], "mlp/version_0", "note: test/loss 0.4, the minimum of 2 runs"),
        (["--partial"], "mlp/version_2", "note: val/loss 0.1, the minimum of 3 runs"),
        (["--model", "mlp", "--data", "iris"], "mlp/version_1", "note: val/loss 0.2, the minimum of 2 runs"),
    ],
)
def test_the_best(words: list[str], expected: str, note: str, logs: Path, capsys: Any) -> None:
    assert best(capsys, logs, *words) == (expected, note)


def test_it_prints_the_folder_alone(logs: Path, capsys: Any) -> None:
    runs.main(["best", "--logs", str(logs)])
    assert Path(capsys.readouterr().out.removesuffix("\n")).resolve() == (logs / "mlp" / "version_1").resolve()


def test_ties_are_told(logs: Path, capsys: Any) -> None:
    write_run(logs / "mlp" / "version_4", best=0.2)
    assert best(capsys, logs) == ("mlp/version_1", "note: val/loss 0.2, as another has it, the minimum of 3 runs")


def test_a_run_without_a_finite_value_is_never_the_best(logs: Path, capsys: Any) -> None:
    write_run(logs / "mlp" / "version_4", best=None)
    write_run(logs / "mlp" / "version_5", best=float("nan"))
    write_run(logs / "mlp" / "version_6", best=float("-inf"))
    assert best(capsys, logs)[0] == "mlp/version_1"


def test_folds_are_left_out_and_told(logs: Path, capsys: Any) -> None:
    fold = ("--model", "mlp", "--data", "iris", "--data.num_folds", "2", "--data.fold", "0")
    write_run(logs / "mlp" / "folds_0" / "fold_0" / "mlp" / "version_0", fold, best=0.01)
    (logs / "mlp" / "folds_0" / "folds.yaml").write_text("folds: 2\n")
    note = "note: val/loss 0.2, the minimum of 2 runs; folds of cross-validations, 1 here, do not count"
    assert best(capsys, logs) == ("mlp/version_1", note)


def test_trials_of_sweeps_count(logs: Path, capsys: Any) -> None:
    write_run(logs / "mlp" / "sweep_0" / "trial_1" / "mlp" / "version_0", best=0.01)
    (logs / "mlp" / "sweep_0" / "sweep.yaml").write_text("trials: 2\n")
    assert best(capsys, logs)[0] == "mlp/sweep_0/trial_1/mlp/version_0"


def test_runs_are_named(logs: Path, capsys: Any) -> None:
    write_run(logs / "mlp" / "version_4", WINE, best=0.01)
    assert best(capsys, logs, "mlp/version_0", str(logs / "mlp" / "version_1"))[0] == "mlp/version_1"


def test_what_cannot_be_compared_is_refused(logs: Path, refused: Any) -> None:
    write_run(logs / "mlp" / "version_4", WINE)
    assert "runs on iris, wine cannot be compared; --data chooses" in refused(runs.main, "best", "--logs", str(logs))


def test_another_split_is_refused(logs: Path, refused: Any) -> None:
    write_run(logs / "mlp" / "version_4", ("--model", "mlp", "--data", "iris", "--data.split_seed", "1"))
    message = refused(runs.main, "best", "--logs", str(logs))
    assert "split iris differently (data.split_seed 0 and 1)" in message


def test_another_metric_is_refused(logs: Path, refused: Any, capsys: Any) -> None:
    write_run(logs / "mlp" / "version_4", monitor="val/accuracy", best=0.9)
    message = refused(runs.main, "best", "--logs", str(logs))
    assert message == "the runs monitor val/loss, val/accuracy, which cannot be compared; --metric chooses"
    assert best(capsys, logs, "--metric", "accuracy")[0] == "mlp/version_0"


def test_nothing_to_choose_from_is_refused(logs: Path, refused: Any) -> None:
    message = refused(runs.main, "best", "--logs", str(logs), "mlp/version_2", "mlp/version_3")
    assert message == "none of the 2 runs has finished; 1 with a partial test: --partial takes them too"
    message = refused(runs.main, "best", "--logs", str(logs), "--metric", "bleu")
    assert message == "--metric bleu: no run has it; expected val/loss, accuracy, loss"
