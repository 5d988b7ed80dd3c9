"""`--logger`: what a run writes, and says, by the loggers that it is given."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.fit import main as fit
from scripts.sweep import main as sweep
from tests.helpers.stopping import SHORT, compare, train

WORDS = ["--model", "mlp", *SHORT]


@pytest.mark.parametrize(
    ("words", "files", "dashboard"),
    [
        ([], {"metrics.csv", "events"}, True),
        (["--logger", "csv"], {"metrics.csv"}, False),
        (["--logger", "tensorboard"], {"events"}, True),
        (["--logger", "none"], set(), False),
    ],
)
def test_a_run_writes_what_its_loggers_write(
    words: list[str], files: set[str], dashboard: bool, capsys: Any, tmp_path: Path
) -> None:
    fit([*WORDS, *words, "--logs", str(tmp_path)])
    run = tmp_path / "mlp" / "version_0"
    found = {file.name.split(".out")[0] for file in run.iterdir() if file.is_file()}
    assert found & {"metrics.csv", "events"} == files
    assert ("tensorboard --logdir" in capsys.readouterr().out) is dashboard
    assert ("logger" in yaml.safe_load((run / "config.yaml").read_text())) is bool(words)


def test_a_resumed_run_may_have_other_loggers(tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert train([*WORDS, "--logs", str(whole)]) == 0
    assert train([*WORDS, "--logger", "tensorboard", "--logs", str(stopped)], 3) != 0
    run = stopped / "mlp" / "version_0"
    assert train(["--resume", str(run), "--logger", "csv,tensorboard"]) == 0
    unlike = compare(whole / "mlp" / "version_0", run)
    assert {place.split(":")[0] for place in unlike} <= {"metrics.csv", "last.ckpt/config", "best.ckpt/config"}


@pytest.mark.parametrize(
    ("main", "words", "expected"),
    [
        (fit, ["--logger", "tensorbord"], "error: --logger tensorbord: expected none, or some of csv,"),
        (
            sweep,
            ["--trials", "1", "--logger", "tensorboard"],
            "error: --logger tensorboard: a sweep reads each",
        ),
    ],
)
def test_refuses_in_one_line(main: Any, words: list[str], expected: str, capsys: Any, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--model", "mlp", *words, "--logs", str(tmp_path)])
    assert capsys.readouterr().err.startswith(expected)
