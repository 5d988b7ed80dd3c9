"""A start of which some processes would wait for others in vain is refused at once, with the line that is meant."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from scripts.cli.command_line.recipes import ROOT
from scripts.cli.command_line.spellings import with_array_task
from scripts.cli.distributed.launch import environment_plugins
from scripts.cli.distributed.started_by import check_slurm, check_start
from scripts.cli.errors import UsageError
from scripts.cli.run.experiment import Experiment

BATCH = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "4"}
TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "x", "GROUP_RANK": "0", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "RANK": "1",
    "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _of_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("SLURM_", "TORCHELASTIC")) or name in TORCHRUN:
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("tasks", "step", "devices", "nodes", "parts"),
    [
        (4, False, 4, 1, ["4 processes", "without the others, in a job of 4 tasks", "ntasks-per-node=4", "torchrun"]),
        (4, False, 1, 1, ["the job has 4 tasks", "without srun", "srun --nodes=1 --ntasks-per-node=1 python"]),
        (1, False, 4, 1, ["4 processes", "in a job of 1 task;", "torchrun --nproc-per-node=4 -- scripts/fit.py"]),
        (1, True, 2, 2, ["4 processes", "srun --nodes=2 --ntasks-per-node=2 python"]),
        (4, True, 2, 1, ["SLURM has started 4 tasks", "--trainer.devices 2 and --trainer.num_nodes 1 ask for 2"]),
        (4, True, 1, 1, ["SLURM has started 4 tasks", "ask for 1"]),
        (4, True, 4, 1, ["SLURM has started 4 tasks without --ntasks-per-node", "srun --nodes=1 --ntasks-per-node=4"]),
        (2, True, [0, 1, 2], 1, ["SLURM has started 2 tasks", "ask for 3"]),
    ],
)
def test_another_number_of_processes_than_slurm_has_started(
    tasks: int, step: bool, devices: Any, nodes: int, parts: list[str]
) -> None:
    variables = {"SLURM_NTASKS": str(tasks)} | ({"SLURM_STEP_ID": "0"} if step else {})
    with pytest.raises(UsageError) as caught:
        check_slurm(variables, devices, nodes)
    assert all(part in str(caught.value) for part in parts), caught.value


@pytest.mark.parametrize(
    ("tasks", "step", "devices", "nodes"),
    [(4, True, 4, 1), (4, True, 2, 2), (4, True, "auto", 1), (1, True, 1, 1), (1, False, 1, 1), (1, False, "-1", 1)],
)
def test_the_number_of_processes_that_slurm_has_started(tasks: int, step: bool, devices: Any, nodes: int) -> None:
    of_step = {"SLURM_STEP_ID": "0", "SLURM_NTASKS_PER_NODE": str(tasks // nodes)} if step else {}
    check_slurm({"SLURM_NTASKS": str(tasks)} | of_step, devices, nodes)


def test_a_run_says_so_before_it_reads_anything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in BATCH.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=r"the job has 4 tasks, but this process was started without srun"):
        Experiment("mlp", logs=tmp_path / "logs").fit()
    assert not (tmp_path / "logs").exists()
    monkeypatch.setenv("SLURM_JOB_NAME", "bash")  # of salloc's shell, in which nothing waits
    check_start(1, 1)


def test_torchrun_comes_before_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**BATCH, **TORCHRUN}.items():
        monkeypatch.setenv(name, value)
    check_start(2, 1)
    (environment,) = environment_plugins()
    assert isinstance(environment, TorchElasticEnvironment)
    assert environment.world_size() == 2


def test_a_rank_that_is_left_over_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("PROCESS_LAUNCHER", "-1")  # no process: these tests may be a child of 1
    with pytest.raises(UsageError, match=r"LOCAL_RANK=1 is set, but neither torchrun nor a run has started"):
        check_start(1, 1)
    for process in (os.getppid(), os.getpid()):  # Lightning sets it in the first process, too, once it starts others
        monkeypatch.setenv("PROCESS_LAUNCHER", str(process))
        check_start(2, 1)


def test_nodes_that_nobody_has_started_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"--trainer.num_nodes 2: nothing has started .* `torchrun --nnodes=2"):
        check_start(1, 2)
    monkeypatch.setenv("NODE_RANK", "1")
    check_start(1, 2)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        yield other.getsockname()[1]


def test_another_port_is_taken_than_one_that_is_in_use(
    taken: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MASTER_PORT", str(taken))
    check_start(1, 1)
    assert os.environ["MASTER_PORT"] == str(taken)  # which one process does not need
    check_start(2, 1)
    assert capsys.readouterr().err.startswith(f"note: $MASTER_PORT {taken} is taken; port ")
    found = os.environ["MASTER_PORT"]
    assert found != str(taken)
    check_start(2, 1)
    assert os.environ["MASTER_PORT"] == found


def test_an_array_has_a_seed_for_each_task(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--seed", "$SLURM_ARRAY_TASK_ID", "--data.fold=${SLURM_ARRAY_TASK_ID}", "--data.num_folds", "10"]
    with pytest.raises(UsageError, match=r"\$SLURM_ARRAY_TASK_ID: this process is no task of a SLURM array"):
        with_array_task(words)
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "7")
    assert with_array_task(words) == ["--seed", "7", "--data.fold=7", "--data.num_folds", "10"]
    assert Experiment("mlp", seed_everything="$SLURM_ARRAY_TASK_ID").options.seed_everything == 7


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("first_goes_on", [True, False])
def test_an_error_of_another_process_than_the_first_is_said_if_that_goes_on(first_goes_on: bool) -> None:
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    variables.pop("PROCESS_LAUNCHER", None)
    first = subprocess.Popen(["sleep", "60"], env={**variables, "LOCAL_RANK": "0"})
    try:
        if not first_goes_on:
            first.kill()
        command = [sys.executable, str(ROOT / "scripts" / "fit.py"), "--model", "mlb"]
        variables["LOCAL_RANK"] = "1"
        failed = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    finally:
        first.kill()
        first.wait()
    assert failed.returncode == 2
    assert ("error: --model mlb: no such model" in failed.stderr) == first_goes_on
