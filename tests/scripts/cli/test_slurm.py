"""Jobs on the SLURM cluster that is found here: stopped, requeued, and resumed as if nothing had happened.

.ci/slurm sets one up on one machine.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from scripts import submit
from scripts.cli import slurm
from scripts.cli.command_line.recipes import ROOT

pytestmark = pytest.mark.slurm

TWO_NODES = ["--model", "mlp", "--nodes", "2", "--tasks-per-node", "1"]
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"}

# Behaves as fit.py does: at a signal, every task exits with 128 plus the signal; the first option's value says what
# happens before.
STAND_IN = """
import os, signal, sys, time

received = []
for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
    signal.signal(number, lambda number, frame: received.append(number))
task, restarts = int(os.environ["SLURM_PROCID"]), int(os.environ.get("SLURM_RESTART_COUNT", 0))
print("task", task, "on", os.environ["SLURMD_NODENAME"], "restarts", restarts, sys.argv[1:], flush=True)
if "fail" in sys.argv and task == 1:
    sys.exit(1)
if "die" in sys.argv and task == 1:
    os.kill(os.getpid(), signal.SIGKILL)
while not received and not restarts:
    time.sleep(0.1)
if received:
    time.sleep(0.5 * task)
    sys.exit(128 + received[0])
"""

SLOW = """
import os, time
from pathlib import Path
from lightning.pytorch import Callback

class Slow(Callback):
    '''Slows a new run, so that it lasts until it is stopped, and not a resumed one.'''

    def __init__(self, note: str):
        self.note = Path(note)

    def on_train_start(self, trainer, module):
        self.new = trainer.global_step == 0
        if trainer.is_global_zero:
            with self.note.open("a") as note:
                note.write(f"{trainer.global_step}\\n")

    def on_train_batch_end(self, trainer, *_):
        if self.new:
            time.sleep(0.3)
"""


def idle_nodes() -> set[str]:
    """The names of the cluster's nodes that have nothing to do."""
    command = ["sinfo", "--noheader", "--Node", "--states=idle", "--format=%N"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def cluster() -> None:
    """A cluster; without one the test is skipped."""
    start = '(eval "$(.ci/slurm up)" starts a small one)'
    if shutil.which("sbatch") is None:
        pytest.skip(f"no SLURM here: there is no sbatch {start}")
    try:
        idle_nodes()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no SLURM here: {error.stderr.strip().splitlines()[-1]} {start}")
    except subprocess.TimeoutExpired:
        pytest.skip(f"no SLURM here: sinfo has no answer within ten seconds {start}")


@pytest.fixture(autouse=True)
def nodes(cluster: None) -> None:
    """Two nodes that are idle, or soon will be."""
    for _ in range(60):
        if len(idle_nodes()) >= 2:
            return
        time.sleep(1)
    pytest.skip("this SLURM has not two idle nodes")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every node can see, as far as the checkout is one."""
    folder = ROOT / "lightning_logs" / f"slurm test 集群 {os.getpid()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


class Job:
    """A job, from its submission on."""

    def __init__(self, capsys: pytest.CaptureFixture[str], logs: Path, *words: str) -> None:
        submit.main([*TWO_NODES, *words, "--logs", str(logs)])
        submitted = re.match(r"job (\d+):", capsys.readouterr().out)
        assert submitted is not None
        self.id = submitted[1]
        self.log = logs / "mlp" / f"slurm-{self.id}.out"

    def __enter__(self) -> "Job":
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["scancel", self.id], capture_output=True, check=False)

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def shown(self) -> dict[str, str]:
        done = subprocess.run(
            ["scontrol", "show", "job", "--oneliner", self.id], capture_output=True, text=True, check=True
        )
        return dict(re.findall(r"(JobState|Reason|Restarts|ExitCode)=(\S+)", done.stdout))

    def says(self, text: str, seconds: float = 120) -> None:
        """Wait until it does."""
        until = time.monotonic() + seconds
        while text not in self.output:
            assert time.monotonic() < until, f"{self.shown()}\n{self.output}"
            time.sleep(0.2)

    def ends(self, seconds: float = 300) -> dict[str, str]:
        """Wait until it does, without the two minutes that SLURM lets pass before a requeued job starts again."""
        until = time.monotonic() + seconds
        while (shown := self.shown())["JobState"] not in ENDED:
            assert time.monotonic() < until, f"{shown}\n{self.output}"
            if shown["JobState"] == "PENDING" and shown["Reason"] == "BeginTime":
                subprocess.run(["scontrol", "update", f"JobId={self.id}", "StartTime=now"], check=True)
            time.sleep(0.5)
        return shown


@pytest.fixture
def stand_in(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quick substitute for `fit.py`."""
    (place / "stand in.py").write_text(STAND_IN)
    monkeypatch.setattr(slurm, "FIT", place / "stand in.py")


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("signal", ["USR1", "USR2", "TERM"])
def test_a_job_that_is_stopped_is_requeued(signal: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Job(capsys, place, "--data.target", "的 值") as job:
        job.says("task 0 on")
        job.says("task 1 on")
        subprocess.run(["scancel", f"--signal={signal}", job.id], check=True)
        shown = job.ends()
    assert shown == {"JobState": "COMPLETED", "Reason": "None", "Restarts": "1", "ExitCode": "0:0"}
    first, second = job.output.split("goes back into the queue")
    for part, restarts in ((first, 0), (second, 1)):
        tasks = re.findall(rf"task (\d) on (\S+) restarts {restarts} (.*)", part)
        assert {task for task, _, _ in tasks} == {"0", "1"}
        assert len({node for _, node, _ in tasks}) == 2
        assert all("'--data.target', '的 值'" in words for _, _, words in tasks)


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("how", ["fail", "die"])
def test_a_job_that_fails_ends_soon_and_is_not_requeued(
    how: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Job(capsys, place, "--data.target", how) as job:
        job.says("task 1 on")
        began = time.monotonic()
        shown = job.ends()
    assert time.monotonic() - began < 35  # the tasks' 25 seconds, and what SLURM takes to say so
    assert shown["JobState"] == "FAILED"
    assert shown["Restarts"] == "0"


@pytest.mark.usefixtures("stand_in")
def test_a_job_that_is_cancelled_is_not_requeued(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Job(capsys, place) as job:
        job.says("task 1 on")
        subprocess.run(["scancel", job.id], check=True)
        shown = job.ends()
    assert shown["JobState"] == "CANCELLED"
    assert shown["Restarts"] == "0"


def test_the_weights_are_those_of_a_run_that_was_never_stopped(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "slow.py").write_text(SLOW)
    monkeypatch.syspath_prepend(place)
    monkeypatch.setenv("PYTHONPATH", f"{place}:{os.environ.get('PYTHONPATH', '')}")
    words = ["--trainer.max_epochs", "40"]
    with Job(capsys, place / "complete", *words) as job:
        assert job.ends()["JobState"] == "COMPLETED", job.output

    slow = ["--trainer.callbacks", "slow.Slow", "--trainer.callbacks.note", str(place / "starts")]
    slow += ["--allow", "slow.Slow"]
    # SLURM looks at its limits twice a minute: the signal comes 25 to 55 seconds after the start.
    with Job(capsys, place / "stopped", *words, *slow, "--time", "1", "--grace", "5") as job:
        shown = job.ends(600)
    assert shown["JobState"] == "COMPLETED", job.output
    assert int(shown["Restarts"]) >= 1
    assert "stopped by signal 10" in job.output
    starts = [int(line) for line in (place / "starts").read_text().splitlines()]
    assert starts[0] == 0
    assert starts[-1] > 0  # it resumed, and did not start again

    for name in ("last.ckpt", "best.ckpt"):
        (complete,), (stopped,) = (
            [torch.load(file, weights_only=True) for file in place.glob(f"{which}/mlp/version_*/checkpoints/{name}")]
            for which in ("complete", "stopped")
        )
        assert complete["global_step"] == stopped["global_step"]
        for key, value in complete["state_dict"].items():
            assert torch.equal(value, stopped["state_dict"][key]), key
