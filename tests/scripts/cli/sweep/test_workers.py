"""Several processes carry out one sweep."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from datamodules.storage.locks import Lock
from scripts.cli.command_line.recipes import ROOT
from scripts.cli.sweep.sweep import planned
from scripts.cli.sweep.workers import of_array
from scripts.sweep import main as sweep
from tests.helpers.waiting import soon
from tests.scripts.cli.sweep.test_sweep import rows_of, space_file

START = """
import sys
from pathlib import Path
from scripts.cli.sweep import subprocess_run
subprocess_run.FIT, subprocess_run.POLL_INTERVAL = Path(sys.argv[1]), 0.02
from scripts.sweep import main
main(sys.argv[2:])
"""


def started(*words: str, **environment: str) -> "subprocess.Popen[str]":
    """A process that sweeps, whose trials are processes of tests/helpers/pretending.py."""
    command = [sys.executable, "-c", START, str(ROOT / "tests" / "helpers" / "pretending.py"), *words]
    variables = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def words_of(folder: Path, trials: int) -> list[str]:
    """A command line."""
    space = space_file(folder, model__dropout={"uniform": [0.1, 0.6]})
    return [
        "--model",
        "mlp",
        "--data.batch_size",
        "128",
        "--trials",
        str(trials),
        "--space",
        space,
        "--logs",
        str(folder),
    ]


@pytest.mark.long
def test_the_tasks_of_an_array_carry_out_one_sweep_and_one_that_is_killed_costs_no_trial(tmp_path: Path) -> None:
    words = [*words_of(tmp_path, 8), "--worker", "$SLURM_ARRAY_TASK_ID"]
    short = {"SLURM_ARRAY_JOB_ID": "7", "PRETEND_SHORT": "1"}
    slow = started(*words, SLURM_ARRAY_JOB_ID="7", SLURM_ARRAY_TASK_ID="0")  # its first trial waits for ever
    folder = tmp_path / "mlp" / "sweep_0"
    assert soon(lambda: [*folder.glob("trial_0/mlp/version_0/metrics.csv")], 60)
    others = [started(*words, **short, SLURM_ARRAY_TASK_ID=str(task)) for task in (1, 2)]
    assert soon(lambda: len([*folder.glob("trial_*")]) > 3, 60)
    slow.send_signal(signal.SIGKILL)
    outputs = [process.communicate(timeout=120)[0] for process in (slow, *others)]
    assert [process.returncode for process in others] == [0, 0], outputs
    rows = rows_of(folder)
    assert len(rows) == 8
    assert "0" not in {row["trial"] for row in rows}  # which was killed
    assert max(Counter(row["model.dropout"] for row in rows).values()) == 1
    assert all(f"of 8: --model.dropout {row['model.dropout']}" in "".join(outputs) for row in rows)
    assert [path.name for path in folder.parent.glob("sweep_*")] == ["sweep_0"]


def test_who_may_carry_out_a_sweep(tmp_path: Path, refused: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID", raising=False)
    words = words_of(tmp_path, 2)
    line = refused(sweep, *words, "--worker", "3")
    expected = "Give --resume with its folder, or start the workers as a SLURM array"
    assert line == f"--worker 3: of which sweep? {expected}"
    assert not (tmp_path / "mlp").exists()
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
    folder = of_array(planned(words[:4], 2, words[7], 5), tmp_path, 0)
    line = refused(sweep, *words, "--unpruned", "1", "--worker", "1")
    assert line == f"{folder}: was begun by another task of this array with other settings"
    holder = Lock(folder / ".worker_4.lock")
    again = ["--resume", str(folder), "--worker"]
    assert refused(sweep, *again, "4") == "--worker 4: another process has this number; each worker needs its own"
    expected = "workers 4 carry this sweep out; --worker with another number joins them"
    assert refused(sweep, "--resume", str(folder)) == f"{folder}: {expected}"
    holder.close()
    holder = Lock(folder / ".lock")
    monkeypatch.setattr("scripts.cli.sweep.workers.PATIENCE", 0.1)
    expected = f"{folder}: a process without --worker carries this sweep out; stop that first"
    assert refused(sweep, *again, "5") == expected
    holder.close()
    assert refused(sweep, *again, "x") == "--worker: expected a whole number of at least 0, got x"
