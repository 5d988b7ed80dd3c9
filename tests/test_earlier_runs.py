"""Runs that were stopped when the files stood elsewhere: their configurations and checkpoints name the old places."""

import json
import shutil
from pathlib import Path

import pytest

from scripts import test as testing
from scripts.cli.command_line.recipes import ROOT
from scripts.fit import main as fit
from scripts.predict import main as predict
from tests.helpers.example_inputs import example_input

EARLIER = ROOT / "tests" / "earlier_runs"


@pytest.mark.parametrize("name", ["gan", "linear_regression"])
def test_an_earlier_run_is_tested_predicts_and_is_resumed(name: str, tmp_path: Path) -> None:
    run = shutil.copytree(EARLIER / name, tmp_path / name / "version_0")
    checkpoint = str(run / "checkpoints" / "last.ckpt")
    testing.main(["--checkpoint", checkpoint])
    source = str(example_input(name))
    predict(["--checkpoint", checkpoint, "--input", source, "--output", str(tmp_path / "predictions.csv")])
    assert len((tmp_path / "predictions.csv").read_text(encoding="utf-8").splitlines()) > 1
    fit(["--resume", str(run)])
    assert json.loads((run / "results.json").read_text(encoding="utf-8"))["model"] == name
    fit(["--config", str(EARLIER / name / "config.yaml"), "--logs", str(tmp_path / "again")])
    assert (tmp_path / "again" / name / "version_0" / "results.json").exists()
