"""Cross-validation: each example is tested once, a crash costs one fold, and what was stopped resumes."""

import csv
import json
import statistics
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from scripts.cli.command_line.options import parse
from scripts.cli.command_line.recipes import resolve
from scripts.cli.sweep import cross_validation
from scripts.cli.sweep.plan import FoldsPlan
from scripts.cli.sweep.subprocess_run import SubprocessRun
from scripts.cross_validate import main

QUICK = ["--trainer.max_epochs", "2", "--trainer.accelerator", "cpu"]


def rows_of(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "scores.csv").open() as file:
        return {row["fold"]: row for row in csv.DictReader(file)}


@pytest.mark.long
def test_each_fold_is_tested_and_one_that_fails_is_trained_when_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = cross_validation.start
    folder = tmp_path / "mlp" / "folds_0"

    def blocked(plan: FoldsPlan, folder: Path, fold: int) -> SubprocessRun:
        if fold == 0:  # a file stands where its run's folder would be
            (folder / "fold_0").mkdir()
            (folder / "fold_0" / "mlp").write_text("in the way")
        return start(plan, folder, fold)

    monkeypatch.setattr(cross_validation, "start", blocked)
    with pytest.raises(SystemExit) as ended:
        main(["--model", "mlp", "--folds", "2", *QUICK, "--logs", str(tmp_path)])
    assert ended.value.code == 1
    out, err = capsys.readouterr()
    assert "fold 0: failed: error: " in err
    assert "1 of 2 folds" in out
    first = rows_of(folder)
    assert [*first] == ["1", "mean", "standard deviation"]
    assert float(first["standard deviation"]["accuracy"]) == 0

    monkeypatch.setattr(cross_validation, "start", start)
    (folder / "fold_0" / "mlp").unlink()
    results = [folder / f"fold_{fold}" / "mlp" / "version_0" / "results.json" for fold in range(2)]
    written = results[1].stat().st_mtime_ns
    main(["--resume", str(folder)])
    assert results[1].stat().st_mtime_ns == written
    rows = rows_of(folder)
    assert [*rows] == ["0", "1", "mean", "standard deviation"]
    assert rows["1"] == first["1"]
    tested = [json.loads(path.read_text())["per_class"] for path in results]
    assert sum(scores["examples"] for fold in tested for scores in fold.values()) == 569  # each patient once
    accuracies = [float(rows[str(fold)]["accuracy"]) for fold in range(2)]
    assert float(rows["mean"]["accuracy"]) == pytest.approx(sum(accuracies) / 2)
    assert accuracies[0] != accuracies[1]
    assert float(rows["standard deviation"]["accuracy"]) == pytest.approx(statistics.stdev(accuracies))
    assert "2 of 2 folds" in capsys.readouterr().out


class Recorded:
    """Stands in for a fold's process, of which it keeps the command line."""

    started: ClassVar[list[Any]] = []

    def __init__(self, plan: FoldsPlan, words: list[str], folder: Path) -> None:
        self.started.append((words, plan.allowed))

    def watch(self, *_: Any) -> bool:
        return False

    def cause(self) -> str:
        return "recorded"


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the folds are started with."""
    monkeypatch.setattr(cross_validation, "SubprocessRun", Recorded)
    monkeypatch.setattr(Recorded, "started", [])
    return Recorded.started


def run(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == 1, "every fold has failed"


def test_a_resume_keeps_what_it_was_started_with(
    recorded: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("model: {dropout: 0.125}\n")
    run("--model", "mlp", "--config", "mine.yaml", "--folds", "2", "--allow", "tests.helpers.misbehaving", "--inexact",
        "--trainer.callbacks", "tests.helpers.misbehaving.Slow", *QUICK, "--logs", "logs")  # fmt: skip
    folder = tmp_path / "logs" / "mlp" / "folds_0"
    plan = yaml.safe_load((folder / "folds.yaml").read_text())
    assert "--allow" not in plan["words"]
    started = [*recorded]
    recorded.clear()
    Path("mine.yaml").write_text("model: {dropout: 0.5}\n")  # between the start and the resume
    with pytest.raises(SystemExit) as ended:
        main(["--resume", str(folder)])
    assert ended.value.code == 2
    assert "was started with --allow tests.helpers.misbehaving, which no file can give" in capsys.readouterr().err
    assert not recorded
    run("--resume", str(folder), "--allow", "tests.helpers.misbehaving")
    assert recorded == started
    words, allowed = recorded[1]
    assert allowed == ["tests.helpers.misbehaving"]
    _, config = parse(resolve([*words, "--allow", "tests.helpers.misbehaving"]))
    assert config.model.dropout == 0.125
    assert config.data.fold == 1
    assert config.trainer.max_epochs == 2
    assert config.inexact
    assert config.trainer.callbacks.class_path == "tests.helpers.misbehaving.Slow"
    last = folder / "fold_0" / "mlp" / "version_0" / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    last.touch()
    recorded.clear()
    run("--resume", str(folder), "--allow", "tests.helpers.misbehaving")
    words, allowed = recorded[0]
    assert words[:2] == ["--resume", str(last.parents[1])]
    assert "--inexact" in words
    assert allowed == ["tests.helpers.misbehaving"]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        *[({key: None}, f"{key}: missing") for key in ("name", "words", "folds", "place")],
        *[({key: {"x": 1}}, f"{key}: expected ") for key in ("name", "words", "folds", "place", "allowed")],
        *[({"words": ["--model", "mlp", *words]}, "words: ") for words in (["--allow", "os"], ["--allow=os"])],
        *[
            ({"words": ["--model", "mlp", *words]}, "words: ")
            for words in (["--logs=x"], [7], ["--config", "--allow=x"])
        ],
        ({"name": "../x"}, "name: expected the name of a model"),
        ({"folds": 1}, "folds: expected at least 2, got 1"),
        ({"shell": "rm"}, "shell: unknown"),
    ],
    ids=repr,
)
def test_a_plan_of_other_content_is_refused_in_one_line(
    changed: dict[str, Any], expected: str, recorded: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = {"name": "mlp", "words": ["--model", "mlp"], "folds": 2, "place": str(tmp_path)} | changed
    plan = {key: value for key, value in plan.items() if value is not None}
    (tmp_path / "folds.yaml").write_text(yaml.safe_dump(plan))
    with pytest.raises(SystemExit) as ended:
        main(["--resume", str(tmp_path)])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"{tmp_path / 'folds.yaml'}: " in line
    assert expected in line
    assert not recorded


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model", "mlp"], "how many folds? Give --folds, a number"),
        (["--model", "mlp", "--folds", "1"], "--folds: expected a whole number of at least 2, got 1"),
        (
            ["--model", "mlp", "--folds", "3", "--data.fold", "1"],
            "--data.fold: is set by --folds 3 here; leave it out",
        ),
        (["--model", "mlp", "--folds", "3", "--model.dropot", "1"], "did you mean --model.dropout"),
        (
            ["--resume", "nowhere"],
            "no folds.yaml there; expected a folder such as lightning_logs/gat/folds_0",
        ),
        (["--resume", "nowhere", "--folds", "3"], "--resume nowhere and --folds contradict each other"),
    ],
)
def test_refuses_in_one_line(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, *(["--logs", str(tmp_path)] if "--resume" not in words else [])])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert expected in line
    assert not [*tmp_path.iterdir()]
