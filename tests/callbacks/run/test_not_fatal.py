"""What shows a run's results does not end it."""

from pathlib import Path
from typing import Any

import pytest

from callbacks.run import not_fatal
from datamodules.errors import DataError
from lightning_modules.tasks.classifier import Classifier
from scripts.experiment import Experiment

TELL = not_fatal.tell


def test_a_picture_that_fails_is_told_and_the_run_ends_with_its_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: Any) -> None:
        raise IndexError("no such\nclass")

    monkeypatch.setattr(not_fatal, "tell", TELL)
    monkeypatch.setattr(Classifier, "show_results", fails)
    options = {"max_steps": 1, "max_epochs": 1, "enable_progress_bar": False}
    run = Experiment("mlp", trainer=options, logs=str(tmp_path)).fit()
    assert run.folder is not None
    assert {"results.json", "report.html", "test_predictions.csv"} <= {file.name for file in run.folder.iterdir()}
    assert "note: further pictures were left out (IndexError: no such class)\n" in capsys.readouterr().err


def test_what_a_user_can_correct_is_an_error() -> None:
    with pytest.raises(DataError), not_fatal.not_fatal("pictures were"):
        raise DataError("the folder is gone")
