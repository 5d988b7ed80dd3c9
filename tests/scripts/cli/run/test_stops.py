"""What a run survives, provoked in real processes: signals, kills, errors, hangs; numbered as the list has it."""

import contextlib
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from callbacks.run.checkpoint_file import read_checkpoint, verify
from scripts.cli.command_line.recipes import ROOT
from scripts.cli.run.folder import lock, release
from tests.helpers import uneven
from tests.helpers.fork_server import Forked, fit_as_program
from tests.helpers.pair import on_two_processes
from tests.helpers.stopping import compare
from tests.helpers.waiting import soon

pytestmark = pytest.mark.long

PROGRAM = [sys.executable, str(ROOT / "scripts" / "fit.py")]
MLP = [
    *("--model", "mlp", "--data.batch_size", "32", "--trainer.accelerator", "cpu", "--trainer.max_epochs", "500"),
    *("--save_every", "5 steps", "--allow", "tests.helpers.misbehaving"),
]
# How often runs are killed, and the seed of the moments: the tests of kills can be run for longer, and otherwise.
KILLS, SEED = int(os.environ.get("KILLS", 0)), int(os.environ.get("KILLS_SEED", 0))

TWO = [  # on two processes, of which one dies where torchrun has started them
    *(*MLP, "--trainer.max_epochs", "20", "--trainer.callbacks", "tests.helpers.misbehaving.DiesOnce"),
    *("--trainer.callbacks.rank", "1", "--trainer.callbacks.step", "12"),
]


class Run:
    """A process of fit.py.

    Args:
        folder: of its logs and of what it says.
        words: of its command line.
        environment: besides this process's own.
        command: before the words, of a process that has to be started anew.
        terminal: the path of what it takes for the screen; by default its words go into files.
    """

    def __init__(
        self,
        folder: Path,
        *words: str,
        environment: dict[str, str] | None = None,
        command: Any = None,
        terminal: str | None = None,
    ) -> None:
        self.folder = folder
        self.run = folder / "mlp" / "version_0"
        self.out, self.err = folder / "out.txt", folder / "err.txt"
        variables = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | (environment or {})
        words = (*words, *([] if {"--resume", "--logs"} & {*words} else ["--logs", str(folder)]))
        if not command:
            streams = {"out": terminal or self.out, "err": terminal or self.err}
            self.process: Any = Forked(fit_as_program, [*words], variables=variables, **streams)
            return
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                [*command, *words], stdout=out, stderr=err, env=variables, cwd=ROOT, start_new_session=True
            )

    def wait_for(self, file: str | Path, text: str = "", seconds: float = 120) -> None:
        """Wait until a file is there that holds the text."""
        began = time.monotonic()
        path = self.run / file if isinstance(file, str) else file
        while not (path.exists() and (not text or text in path.read_text(errors="replace"))):
            assert time.monotonic() - began < seconds, f"no {text} in {path}: {self.err.read_text()}"
            assert self.process.poll() is None, self.err.read_text()
            time.sleep(0.05)

    def status(self, seconds: float = 120) -> int:
        """How it ends."""
        return self.process.wait(seconds)

    @property
    def said(self) -> list[str]:
        """The lines that it said of what went wrong."""
        lines = self.err.read_text(errors="replace").splitlines()
        return [line for line in lines if line.strip() and "epoch " not in line]

    @property
    def children(self) -> list[int]:
        """Processes that it has started and that are alive, the last one last: numbers of processes begin anew."""
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                text = status.read_text()
            except OSError:  # it has ended
                continue
            process = int(text.split()[0])
            state, _, _, session, *after = text.rpartition(")")[2].split()
            if int(session) == self.process.pid != process and state != "Z":
                found.append((int(after[15]), process))  # when it was started
        return [process for _, process in sorted(found)]

    def all_gone(self) -> bool:
        """Whether the processes that it has started end soon."""
        return soon(lambda: not self.children)

    def end(self) -> None:
        """Leave nothing behind."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.process.wait()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    """Starts runs, which do not outlive the test."""
    runs: list[Run] = []

    def starting(*words: str, **options: Any) -> Run:
        runs.append(Run(tmp_path, *words, **options))
        return runs[-1]

    yield starting
    for run in runs:
        run.end()


def drain(terminal: int, until: Path) -> None:
    """Read what is written on a terminal, until a file is there."""
    while not until.exists():
        if select.select([terminal], [], [], 0.1)[0]:
            os.read(terminal, 4096)


def step_of(path: Path) -> int:
    """Steps done when a checkpoint was saved, which has to be whole."""
    verify(path)
    return int(read_checkpoint(path)["global_step"])


# 39. SIGTERM, SIGUSR1, SIGUSR2, SIGINT
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGUSR2", "SIGINT"])
def test_a_signal_saves_at_the_steps_end(start: Any, name: str) -> None:
    number = signal.Signals[name]
    run = start(*MLP, "--save_every", "10 minutes")
    run.wait_for("metrics.csv")
    run.process.send_signal(number)
    assert run.status(30) == 128 + number
    step = step_of(run.run / "checkpoints" / "last.ckpt")
    (line,) = run.said
    assert line.startswith(f"stopped by {number.name} after step {step}; python scripts/fit.py --resume ")


def test_a_lost_connection_saves_at_the_steps_end(start: Any) -> None:
    """The terminal is gone: what is written there from then on is an error, and shell and system both say it."""
    ours, theirs = os.openpty()
    run = start(
        *MLP, "--save_every", "10 minutes", "--trainer.enable_progress_bar", "true", terminal=os.ttyname(theirs)
    )
    reading = threading.Thread(target=drain, args=(ours, run.run / "metrics.csv"))
    reading.start()
    run.wait_for("metrics.csv")
    reading.join()
    os.close(theirs)
    os.close(ours)
    for _ in range(2):
        run.process.send_signal(signal.SIGHUP)
        time.sleep(0.01)
    assert run.status(30) == 128 + signal.SIGHUP
    assert step_of(run.run / "checkpoints" / "last.ckpt") > 0


def test_a_run_that_ignores_a_lost_connection_goes_on(start: Any) -> None:
    run = start(*MLP, "--save_every", "10 minutes", command=["nohup", *PROGRAM])
    run.wait_for("metrics.csv")
    run.process.send_signal(signal.SIGHUP)
    before = (run.run / "metrics.csv").stat().st_size
    assert soon(lambda: (run.run / "metrics.csv").stat().st_size > before, 60)
    assert run.process.poll() is None
    run.process.send_signal(signal.SIGTERM)
    assert run.status(30) == 143


# 40. a signal in the middle of a validation, in the sanity check, and in set-up
@pytest.mark.parametrize(("devices", "rank"), [(1, 0), (2, 0), (2, 1)])
def test_a_signal_in_a_validation_is_obeyed_before_its_end(start: Any, devices: int, rank: int) -> None:
    slow = ["--trainer.callbacks", "tests.helpers.misbehaving.Slow", "--trainer.callbacks.validation", "5"]
    few = ["--trainer.limit_train_batches", "3", "--trainer.devices", str(devices)]
    run = start(*MLP, "--data.batch_size", "8", *few, *slow, "--trainer.num_sanity_val_steps", "0")
    run.wait_for(run.out, "validating")
    os.kill(run.process.pid if rank == 0 else run.children[-1], signal.SIGTERM)
    assert run.status(20) == 143  # seven batches would take 35 s
    assert run.all_gone()
    assert step_of(run.run / "checkpoints" / "last.ckpt") == 3
    (line,) = run.said
    assert line.startswith("stopped by SIGTERM after step 3; ")


def test_processes_with_different_numbers_of_batches_leave_a_validation_together(tmp_path: Path) -> None:
    """Of 56 examples in batches of 11 the last has one, which is the first process's; see tests/helpers/uneven.py."""
    on_two_processes(tmp_path, uneven.main, tmp_path)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["batches"] == [6, 5]
    for batch, unlike in found["unlike"].items():
        assert unlike == [], batch


def test_a_signal_in_the_sanity_check_ends_it_before_the_first_step(start: Any) -> None:
    slow = ["--trainer.callbacks", "tests.helpers.misbehaving.Slow", "--trainer.callbacks.validation", "2"]
    run = start(*MLP, "--trainer.max_epochs", "1", "--trainer.limit_val_batches", "1", *slow)
    run.wait_for(run.out, "validating")
    run.process.send_signal(signal.SIGTERM)
    assert run.status(20) == 143
    assert step_of(run.run / "checkpoints" / "last.ckpt") == 0
    (line,) = run.said
    assert line.startswith("stopped by SIGTERM after step 0; ")
    again = start("--resume", str(run.run), "--allow", "tests.helpers.misbehaving")
    assert again.status(60) == 0, again.said
    assert "resumed from last.ckpt" in again.out.read_text()


def test_a_signal_in_the_set_up_ends_it_and_leaves_no_checkpoint(start: Any) -> None:
    run = start(*MLP, command=PROGRAM)
    time.sleep(1)  # it imports torch
    run.process.send_signal(signal.SIGTERM)
    assert run.status(15) in (-signal.SIGTERM, 143)
    assert not list(run.folder.rglob("*.ckpt")) or step_of(next(run.folder.rglob("*.ckpt"))) >= 0


# 41. a second signal
def test_a_second_signal_ends_it_at_once(start: Any) -> None:
    run = start(*MLP, "--trainer.callbacks", "tests.helpers.misbehaving.Slow", "--trainer.callbacks.seconds", "2")
    run.wait_for("checkpoints/last.ckpt")
    time.sleep(0.5)
    before = step_of(run.run / "checkpoints" / "last.ckpt")
    run.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    run.process.send_signal(signal.SIGTERM)
    assert run.status(1.5) == -signal.SIGTERM  # a step takes two seconds
    assert step_of(run.run / "checkpoints" / "last.ckpt") == before


# 37, 38. kill -9 at random points and inside saves, with $TMPDIR on another file system
@pytest.mark.parametrize("seed", [SEED])
def test_a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path: Path, seed: int) -> None:
    kills = KILLS or 12
    shm = Path("/dev/shm")  # where syncing costs nothing: it is another file system than $TMPDIR
    folder = shm / f"killed-{os.getpid()}" if shm.is_dir() else tmp_path
    variables = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    command = [sys.executable, str(ROOT / "tests" / "helpers" / "killing.py"), str(folder), str(kills), str(seed)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=60 * kills, check=False)
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)
    assert ended.returncode == 0, ended.stderr[-3000:]
    found = json.loads(ended.stderr.splitlines()[-1])
    assert found == {"killed": kills, "unlike": [], "left": []}


# 42. a signal to one process of two
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_process_stops_both(start: Any, rank: int) -> None:
    run = start(*MLP, "--trainer.devices", "2")
    run.wait_for("metrics.csv")
    os.kill(run.process.pid if rank == 0 else run.children[-1], signal.SIGTERM)
    assert run.status(30) == 143
    assert run.all_gone()
    assert step_of(run.run / "checkpoints" / "last.ckpt") > 0


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on two processes, TWO, to which nothing happens: DiesOnce needs torchrun."""
    run = Run(tmp_path_factory.mktemp("undisturbed"), *TWO, "--trainer.devices", "2")
    try:
        assert run.status(120) == 0, run.said
    finally:
        run.end()
    return run.run


# 43. kill -9 of a process of two
@pytest.mark.parametrize("rank", [0, 1])
def test_when_a_process_is_killed_the_job_ends_without_orphans(start: Any, rank: int, undisturbed: Path) -> None:
    run = start(*TWO, "--trainer.devices", "2")
    run.wait_for("checkpoints/last.ckpt")
    os.kill(run.process.pid if rank == 0 else run.children[-1], signal.SIGKILL)
    assert run.status(30) != 0
    assert run.all_gone()
    if rank:  # else the shell says that it was killed: the others end with it
        assert run.said[-1] == "error: another process of this run was lost: killed, or its machine is gone"
    assert 0 < step_of(run.run / "checkpoints" / "last.ckpt") < step_of(undisturbed / "checkpoints" / "last.ckpt")
    again = start("--resume", str(run.run), "--allow", "tests.helpers.misbehaving")
    assert again.status(120) == 0, again.said
    assert compare(undisturbed, run.run) == []


@pytest.mark.parametrize("seed", [SEED])
def test_when_the_first_process_is_killed_while_others_start_all_are_gone(start: Any, seed: int) -> None:
    """One of the others may be stopped before."""
    dice = random.Random(seed)
    for number in range(KILLS or 2):
        run = start(*MLP, "--trainer.devices", "2")
        while not run.children:
            assert run.process.poll() is None, run.err.read_text()
            time.sleep(0.02)
        time.sleep(dice.uniform(0, 6) if number else 0)
        if dice.random() < 0.5:
            for child in run.children:
                os.kill(child, signal.SIGSTOP)
        run.process.send_signal(dice.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
        run.status(30)
        assert run.all_gone()
        for folder in (run.folder / "mlp").glob("version_*"):  # the next can have it at once
            lock(folder, None)
            release()


# 6. all processes suspended together, for longer than the time-out
def test_a_job_that_is_suspended_does_not_time_out(start: Any) -> None:
    run = start(*MLP, "--trainer.devices", "2", "--timeout", "0.1")
    run.wait_for("checkpoints/last.ckpt")
    for number in (signal.SIGSTOP, signal.SIGCONT):
        os.killpg(run.process.pid, number)
        time.sleep(10)
    before = step_of(run.run / "checkpoints" / "last.ckpt")
    assert soon(lambda: step_of(run.run / "checkpoints" / "last.ckpt") > before)
    assert run.process.poll() is None, run.said
    run.process.send_signal(signal.SIGTERM)
    assert run.status(30) == 143
    assert len(run.said) == 1, run.said


@pytest.mark.parametrize("rank", [0, 1])
def test_a_stopped_process_does_not_stay_when_the_others_have_timed_out(start: Any, rank: int) -> None:
    run = start(*MLP, "--trainer.devices", "2", "--timeout", "0.1")
    run.wait_for("checkpoints/last.ckpt")
    os.kill(run.process.pid if rank == 0 else run.children[-1], signal.SIGSTOP)
    assert run.status(60) != 0
    assert run.all_gone()
    assert f"error: process {1 - rank} hung" in run.err.read_text()


# a run's folder that is deleted while it runs
@pytest.mark.parametrize(
    ("gone", "devices"), [("version_0", "1"), ("version_0", "2"), ("version_0/checkpoints", "1"), ("..", "1")]
)
def test_a_folder_that_is_deleted_ends_its_run_with_one_line(start: Any, gone: str, devices: str) -> None:
    run = start(*MLP, "--trainer.devices", devices, "--save_every", "10 minutes")
    run.wait_for("metrics.csv")
    if gone == "version_0/checkpoints":
        run.wait_for("checkpoints/best.ckpt")
    folder = (run.folder / "mlp" / gone).resolve()
    target = run.folder / "mlp" if gone == ".." else folder
    os.rename(target, run.folder / "away")  # at once: files may come while a folder is being deleted
    shutil.rmtree(run.folder / "away")
    assert run.status(60) == 2
    expected = run.run if gone == ".." else folder
    assert run.said == [
        f"error: {expected}: this folder was deleted or moved while the run was writing into it, so the run has ended"
    ]
    assert not target.exists()
    assert run.all_gone()


# 44. an exception in one process of two
@pytest.mark.parametrize("rank", [0, 1])
def test_the_last_line_is_the_cause_whichever_process_fails(start: Any, rank: int) -> None:
    fails = ["--trainer.callbacks", "tests.helpers.misbehaving.Raises", "--trainer.callbacks.rank", str(rank)]
    run = start(*MLP, "--trainer.devices", "2", *fails)
    assert run.status(60) not in (0, 2)
    assert run.said[-1] == "RuntimeError: this is the cause", run.said
    assert sum(line.startswith("RuntimeError: this is the cause") for line in run.said) == 1
    assert run.all_gone()


# 45. a process that loads data is killed
def test_a_killed_loader_is_told(start: Any) -> None:
    run = start(
        "--model", "cnn", "--data.num_workers", "1", "--trainer.max_epochs", "500", "--trainer.accelerator", "cpu"
    )
    run.run = run.folder / "cnn" / "version_0"
    run.wait_for("metrics.csv")
    os.kill(run.children[-1], signal.SIGKILL)
    assert run.status(60) == 1
    assert run.said[-1].startswith("error: a process that loads data was killed")
    assert not any("Traceback" in line for line in run.said), "\n".join(run.said)


# 46. out of memory
def test_out_of_memory_says_which_batch_size_to_try(start: Any) -> None:
    run = start(*MLP, "--trainer.callbacks", "tests.helpers.misbehaving.RunsOut")
    assert run.status(60) == 1
    assert run.said == ["error: out of memory on cpu with --data.batch_size 32; try --data.batch_size 16, or auto"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of four megabytes."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


def fill(disk: Path) -> None:
    """Leave no byte free."""
    filling = os.open(disk / "filling", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while os.write(filling, b"0" * 4096):
            pass
    os.close(filling)


# 47. a full disk
def test_a_full_disk_keeps_the_old_checkpoint(start: Any, disk: Path) -> None:
    words = [*MLP, "--trainer.max_epochs", "20"]
    run = start(*words, "--logs", str(disk))
    run.run = disk / "mlp" / "version_0"
    run.wait_for("checkpoints/previous.ckpt")
    fill(disk)
    assert run.status(60) == 2
    assert "the disk is full: " in run.said[-1]
    assert run.said[-1].endswith("checkpoints are kept")
    assert step_of(run.run / "checkpoints" / "last.ckpt") > 0
    (disk / "filling").unlink()
    again = start("--resume", str(run.run), "--allow", "tests.helpers.misbehaving")
    assert again.status(60) == 0, again.said
    whole = start(*words)
    assert whole.status(60) == 0, whole.said
    assert compare(whole.run, run.run) == []


# 54. a full $TMPDIR, which fills before the run starts or while it runs
@pytest.mark.parametrize("early", [True, False])
def test_a_full_folder_for_temporary_files_does_not_touch_saving(start: Any, disk: Path, early: bool) -> None:
    if early:
        fill(disk)
    run = start(*MLP, "--trainer.devices", "2", environment={"TMPDIR": str(disk)})
    run.wait_for("checkpoints/last.ckpt")
    fill(disk)
    before = step_of(run.run / "checkpoints" / "last.ckpt")
    assert soon(lambda: step_of(run.run / "checkpoints" / "last.ckpt") > before, 60)
    run.process.send_signal(signal.SIGTERM)
    assert run.status(30) == 143
    assert len(run.said) == 1, run.said
    assert step_of(run.run / "checkpoints" / "last.ckpt") > before


# 48. a loss that is no number
@pytest.mark.parametrize("devices", ["1", "2"])
def test_a_loss_that_is_no_number_names_the_step_and_keeps_what_was_finite(start: Any, devices: str) -> None:
    run = start(*MLP, "--model.optimizer.lr", "1e30", "--trainer.devices", devices, "--save_every", "1 step")
    assert run.status(60) == 2
    (line,) = run.said
    assert line.startswith("error: the loss was not a finite number at step ")
    assert "--model.optimizer.lr" in line
    last = run.run / "checkpoints" / "last.ckpt"
    assert str(last) in line
    assert all(weight.isfinite().all() for weight in read_checkpoint(last)["state_dict"].values())


# 49. a silent hang
def test_a_hang_ends_with_the_stack_of_every_process(start: Any) -> None:
    hangs = ["--trainer.callbacks", "tests.helpers.misbehaving.Hangs", "--trainer.callbacks.rank", "1"]
    run = start(*MLP, "--trainer.devices", "2", *hangs, "--timeout", "0.1")
    assert run.status(60) != 0
    text = run.err.read_text()
    for rank in (0, 1):  # each without a break, though both speak at the same time
        begin, end = f"process {rank} has done nothing for 6 s; it is here:\n", f"error: process {rank} hung"
        stack = text[text.index(begin) : text.index(end)]
        assert "thread MainThread:" in stack
        assert stack.count("has done nothing") == 1
        assert ('misbehaving.py", line' in stack) == (rank == 1)
    assert run.all_gone()


# 56. SLURM's variables in an interactive shell
def test_an_interactive_shell_of_slurm_changes_nothing(start: Any, tmp_path: Path) -> None:
    (tmp_path / "hpc_ckpt_1.ckpt").write_bytes(b"another experiment's")
    variables = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "bash", "SLURM_NTASKS": "1", "SLURM_RESTART_COUNT": "1",
                 "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}  # fmt: skip
    run = start(*MLP, environment=variables)
    run.wait_for("metrics.csv")
    run.process.send_signal(signal.SIGUSR1)
    assert run.status(30) == 138
    assert "hpc" not in run.out.read_text() + run.err.read_text()
    assert sorted(file.name for file in (tmp_path / "mlp").iterdir()) == ["version_0"]


# 59. two resumes of one run
def test_the_second_resume_of_a_run_is_refused(start: Any) -> None:
    first = start(*MLP)
    first.wait_for("checkpoints/last.ckpt")
    second = start("--resume", str(first.run))
    assert second.status(60) == 2
    line = f"error: {first.run}: another run is writing there (process {first.process.pid})"
    assert line in second.said  # between lines of the first, which writes into the same file
    assert first.process.poll() is None


# 60. two SLURM jobs in one folder
def test_two_jobs_of_slurm_have_a_checkpoint_each(start: Any) -> None:
    variables = {"SLURM_JOB_NAME": "train", "SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0",
                 "SLURM_NODEID": "0", "SLURM_NTASKS_PER_NODE": "1", "SLURM_RESTART_COUNT": "0"}  # fmt: skip
    first = start(*MLP, environment=variables | {"SLURM_JOB_ID": "7"})
    first.wait_for("checkpoints/last.ckpt")
    second = start(*MLP, environment=variables | {"SLURM_JOB_ID": "8"})
    second.run = second.folder / "mlp" / "version_1"
    second.wait_for("checkpoints/last.ckpt")
    for run in (first, second):
        run.process.send_signal(signal.SIGUSR1)
        assert run.status(30) == 138
    # Requeued, the first goes on with its own.
    again = start(*MLP, environment=variables | {"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": "1"})
    again.wait_for(again.out, "version_0, resumed from last.ckpt")


def test_torchrun_starts_a_run_again_where_it_was(start: Any, undisturbed: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["--max-restarts", "1", "--", PROGRAM[1]]
    run = start(*TWO, command=command)
    assert run.status(120) == 0, run.err.read_text()[-2000:]
    assert "version_0, resumed from last.ckpt" in run.out.read_text()
    assert sorted(file.name for file in (run.folder / "mlp").iterdir()) == ["version_0"]
    unlike = compare(undisturbed, run.run)
    assert {where.partition("/")[2] for where in unlike} <= {
        *("config/trainer/devices", "trainer.devices"),  # 2, and "2" where it is given
    }
