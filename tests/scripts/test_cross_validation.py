"""Cross-validation: each example is tested once, a fold that crashes costs one, and what was stopped goes on."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from scripts.cross_validate import main

QUICK = ["--trainer.max_epochs", "2", "--trainer.accelerator", "cpu"]


def rows_of(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "scores.csv").open() as file:
        return {row["fold"]: row for row in csv.DictReader(file)}


@pytest.mark.long
def test_each_fold_is_tested_and_a_lost_one_is_made_good(tmp_path: Path, capsys: Any) -> None:
    main(["--model", "mlp", "--folds", "3", *QUICK, "--logs", str(tmp_path)])
    folder = tmp_path / "mlp" / "folds_0"
    rows = rows_of(folder)
    assert [*rows] == ["0", "1", "2", "mean", "standard deviation"]
    results = [folder / f"fold_{fold}" / "mlp" / "version_0" / "results.json" for fold in range(3)]
    tested = [json.loads(path.read_text())["per_class"] for path in results]
    assert sum(scores["examples"] for fold in tested for scores in fold.values()) == 569  # each patient once
    found = [float(rows[str(fold)]["accuracy"]) for fold in range(3)]
    assert float(rows["mean"]["accuracy"]) == pytest.approx(sum(found) / 3)
    assert "3 of 3 folds" in capsys.readouterr().out
    shutil.rmtree(results[1].parent)  # as if it had never run
    (folder / "scores.csv").unlink()
    kept = results[0].stat().st_mtime_ns
    main(["--resume", str(folder)])
    assert results[0].stat().st_mtime_ns == kept
    again = rows_of(folder)
    assert again["1"]["accuracy"] == rows["1"]["accuracy"]
    assert again["mean"] == rows["mean"]


@pytest.mark.long
def test_a_fold_that_fails_costs_one(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from scripts.cli import cross_validation

    started = cross_validation.started

    def hindered(plan: Any, folder: Path, fold: int) -> Any:
        if fold == 1:  # a file stands where its run's folder would be
            (folder / "fold_1").mkdir()
            (folder / "fold_1" / "mlp").write_text("in the way")
        return started(plan, folder, fold)

    monkeypatch.setattr(cross_validation, "started", hindered)
    with pytest.raises(SystemExit) as ended:
        main(["--model", "mlp", "--folds", "3", *QUICK, "--logs", str(tmp_path)])
    assert ended.value.code == 1
    out, err = capsys.readouterr()
    assert "fold 1: failed: error: " in err
    assert "2 of 3 folds" in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model", "mlp"], "how many folds? Give --folds, a number"),
        (["--model", "mlp", "--folds", "1"], "--folds: expected a whole number of at least 2, got 1"),
        (
            ["--model", "mlp", "--folds", "3", "--data.fold", "1"],
            "--data.fold: is said by --folds 3 here; leave it out",
        ),
        (["--model", "mlp", "--folds", "3", "--model.dropot", "1"], "did you mean --model.dropout"),
        (["--resume", "nowhere"], "--resume nowhere: expected a folder such as"),
        (["--resume", "nowhere", "--folds", "3"], "--resume nowhere and --folds contradict each other"),
    ],
)
def test_refuses_in_one_line(words: list[str], expected: str, capsys: Any, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, *(["--logs", str(tmp_path)] if "--resume" not in words else [])])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert expected in line
    assert not [*tmp_path.iterdir()]
