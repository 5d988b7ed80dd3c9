"""A training run as a SLURM job: the sbatch script that the same options give, and its submission."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from datamodules.files.paths import relative, user_path
from datamodules.storage.atomic_file import atomic_write
from scripts.cli.command_line.argv import CommandLine
from scripts.cli.command_line.recipes import ROOT, Config, resolve
from scripts.cli.command_line.resume_changes import differences, refuse_changes
from scripts.cli.command_line.spellings import with_array_task
from scripts.cli.errors import UsageError, did_you_mean, user_errors
from scripts.cli.run.files import logs_at
from scripts.cli.shell import HIDDEN, command_line, quoted

FIT = ROOT / "scripts" / "fit.py"
STRAGGLE = 25  # seconds after the first task's end before SLURM kills the others

# The options of sbatch that are passed on under their own names; --sbatch takes the rest.
PASSED_ON = ("partition", "account", "qos", "constraint", "mem")
OPTIONS = ("nodes", "gpus-per-node", "tasks-per-node", "cpus-per-task", "time", "grace", "sbatch", *PASSED_ON)

# Options that tasks, devices and requeueing depend on, and what sets them.
RESERVED = {
    "nodes": "--nodes",
    **dict.fromkeys(("ntasks", "ntasks-per-node"), "--tasks-per-node"),
    "cpus-per-task": "--cpus-per-task",
    **dict.fromkeys(("gpus", "gpus-per-node", "gpus-per-task", "gres"), "--gpus-per-node"),
    "time": "--time",
    "signal": "--grace",
    "chdir": "the folder that submit.py is called from",
    "output": "--logs",
    **dict.fromkeys(("requeue", "no-requeue", "open-mode", "wrap"), "submit.py itself"),
}
TRAINER = {
    "--trainer.num_nodes": "--nodes",
    "--trainer.devices": "--gpus-per-node (or --tasks-per-node)",
    "--trainer.accelerator": "--gpus-per-node",
}


@dataclass(frozen=True)
class Allocation:
    """What a job requests from the cluster.

    Args:
        nodes: number of machines.
        tasks_per_node: processes on each; with GPUs, one for each of them.
        gpus_per_node: GPUs of each machine; 0 trains on the CPUs.
        cpus_per_task: CPUs, and threads, of each process; None leaves it to the cluster.
        time: the limit as SLURM writes it; None leaves it to the partition.
        grace: seconds before the limit at which the run is signalled to save.
        further: further options of sbatch and their values; a flag has none.
    """

    nodes: int = 1
    tasks_per_node: int = 1
    gpus_per_node: int = 1
    cpus_per_task: int | None = None
    time: str | None = None
    grace: int = 120
    further: tuple[tuple[str, str | None], ...] = ()

    @property
    def trainer(self) -> list[str]:
        """The same as options of the trainer, which picks DDP for several processes."""
        devices = ["--trainer.num_nodes", str(self.nodes), "--trainer.devices", str(self.tasks_per_node)]
        return [*devices, "--trainer.accelerator", self.accelerator]

    @property
    def accelerator(self) -> str:
        """The accelerator of the trainer."""
        return "gpu" if self.gpus_per_node else "cpu"

    def changes(self, before: Config) -> list[str]:
        """The differences from a run that is to be resumed.

        Args:
            before: the trainer's settings of the run.
        """
        tasks = "--gpus-per-node" if before["accelerator"] != "cpu" else "--tasks-per-node"
        compared = (
            ("--nodes", self.nodes, before["num_nodes"]),
            (tasks, self.tasks_per_node, before["devices"]),
            ("--trainer.accelerator", self.accelerator, before["accelerator"]),
        )
        return [f"{option} {now} (was {was})" for option, now, was in compared if str(now) != str(was)]

    @property
    def size(self) -> str:
        """The nodes, and the devices of each, as a text."""
        each = f"{self.gpus_per_node} GPU" if self.gpus_per_node else f"{self.tasks_per_node} CPU task"
        return f"{_plural(self.nodes, 'node')} with {each}{'s' if self.tasks_per_node > 1 else ''} each"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count > 1 else ''}"


def take_integer(line: CommandLine, name: str, minimum: int, maximum: int = 65535) -> int | None:
    """Take an option's integer from the line; None if it is not given."""
    value = line.value(name)
    if value is None:
        return None
    if not value.isdecimal() or not minimum <= int(value) <= maximum:
        raise UsageError(f"{name}: expected a whole number from {minimum} to {maximum}, got {value}")
    return int(value)


def seconds(time: str) -> int:
    """The length of a time limit as SLURM writes it: `90`, `90:00`, `1:30:00`, `1-12`, `1-12:30`, `1-12:30:00`.

    Raises:
        UsageError: it is not one.
    """
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", time, re.ASCII)
    if found is None:
        raise UsageError(f"--time: expected MINUTES, HOURS:MINUTES:SECONDS or DAYS-HOURS:MINUTES:SECONDS, got {time}")
    days, first, second, third = (int(part or 0) for part in found.groups())
    if found[1] is None and found[4] is None:  # minutes come first
        return 60 * first + second
    return 86400 * days + 3600 * first + 60 * second + third


def take_allocation(words: list[str]) -> tuple[Allocation, list[str]]:
    """Split a command line into the allocation and the options of `fit.py`.

    Raises:
        UsageError: a value is not possible, or two options contradict each other.
    """
    line = CommandLine(list(words))
    nodes = take_integer(line, "--nodes", 1)
    gpus = take_integer(line, "--gpus-per-node", 0)
    tasks = take_integer(line, "--tasks-per-node", 1)
    if gpus and tasks not in (None, gpus):
        raise UsageError(
            f"--gpus-per-node {gpus} and --tasks-per-node {tasks} contradict each other: a GPU has one task; give one"
        )
    if gpus is None:
        gpus = 1 if tasks is None else 0
    cpus = take_integer(line, "--cpus-per-task", 1)
    if cpus is None and not gpus:
        cpus = 1  # SLURM's own default; given, because torch would start a thread for each CPU of the machine
    grace = take_integer(line, "--grace", 1)
    time = line.value("--time")
    allocation = Allocation(
        nodes=nodes or 1,
        tasks_per_node=gpus or tasks or 1,
        gpus_per_node=gpus,
        cpus_per_task=cpus,
        time=time,
        grace=Allocation.grace if grace is None else grace,
        further=tuple(_further(line)),
    )
    if time is not None and seconds(time) <= allocation.grace:
        raise UsageError(
            f"--time {time} and --grace {allocation.grace} contradict each other: "
            f"the run would be stopped, seconds before its limit, as soon as it starts"
        )
    check_rest(line)
    return allocation, line.words


def _further(line: CommandLine) -> list[tuple[str, str | None]]:
    given = [(name, line.value(f"--{name}")) for name in PASSED_ON]
    further: list[tuple[str, str | None]] = [(name, value) for name, value in given if value is not None]
    for option in line.values("--sbatch"):
        name, equals, value = option.lstrip("-").partition("=")
        if not re.fullmatch(r"[a-z][a-z-]*", name):
            raise UsageError(f"--sbatch: expected NAME or NAME=VALUE, such as exclusive or array=0-9, got {option}")
        if name in RESERVED:
            raise UsageError(f"--sbatch {option}: {name} is set by {RESERVED[name]}")
        further.append((name, value if equals else None))
    for name, text in further:
        if text is not None:
            directive(name, text)  # refuses what no line can contain
    return further


def check_rest(line: CommandLine) -> None:
    """Refuse options of `fit.py` that the allocation sets, and misspelt ones of the allocation."""
    for name, ours in TRAINER.items():
        if line.mentions(name):
            value = line.value(name)
            raise UsageError(f"{name} {value} and {ours} contradict each other; give {ours} only")
    names = [f"--{name}" for name in OPTIONS]
    for word in line.words:
        option = word.split("=")[0]
        dashed = re.fullmatch(r"--[a-z]+(-[a-z]+)+", option)  # as no option of fit.py is
        if dashed or get_close_matches(option, names, n=1, cutoff=0.85):
            raise UsageError(f"{option}: no such option{did_you_mean(option, names)} (--help shows them all)")


def folder_of(name: str, words: list[str]) -> Path:
    """The folder of the job's script and output: that of its run's folder.

    Args:
        name: the model's.
        words: the options of `fit.py`.
    """
    line = CommandLine(list(words))
    resumed, logs = line.value("--resume"), line.value("--logs")
    if resumed:
        return user_path(resumed, "--resume").absolute().parent
    return logs_at(logs) / name


def directives(name: str, allocation: Allocation, folder: Path) -> list[str]:
    """The `#SBATCH` lines."""
    options: list[tuple[str, str | None]] = [
        ("job-name", name),
        ("nodes", str(allocation.nodes)),
        ("ntasks-per-node", str(allocation.tasks_per_node)),
    ]
    for option in ("gpus-per-node", "cpus-per-task", "time"):
        if value := getattr(allocation, option.replace("-", "_")):
            options.append((option, str(value)))
    options += [
        ("signal", f"SIGUSR1@{allocation.grace}"),
        ("requeue", None),
        ("open-mode", "append"),
        ("chdir", os.getcwd()),
        ("output", output_pattern(folder)),
        *allocation.further,
    ]
    return [
        f"#SBATCH --{name}" if value is None else f"#SBATCH --{name}={directive(name, value)}"
        for name, value in options
    ]


def output_pattern(folder: Path) -> str:
    """The path of the job's output in that folder, as sbatch takes it.

    Raises:
        UsageError: sbatch cannot take it.
    """
    if "\\" in str(folder):  # with one, sbatch fills in nothing, not even the job's id
        raise UsageError(
            f"--logs {folder}: expected a folder without a backslash in its path, which sbatch cannot take"
        )
    return f"{str(folder).replace('%', '%%')}/slurm-%j.out"


def directive(name: str, value: str) -> str:
    r"""An option's value as sbatch reads it from a line of the script.

    It knows quotes, and unlike a shell, a `\` within either type of them; not a shell's `$`. A line that contains the
    word hetjob (once packjob) begins another job.

    Raises:
        UsageError: it has a character that no line can contain.
    """
    if HIDDEN.search(value):
        raise UsageError(f"{name}: expected one line of text without control characters, got {value!r}")
    escaped = re.sub(r'[\\"]', r"\\\g<0>", value)
    return '"' + re.sub("(?i)(het|pack)(job)", r"\1\\\2", escaped) + '"'


def batch_script(name: str, words: list[str], allocation: Allocation) -> str:
    """The sbatch script of a run.

    Args:
        name: the model's.
        words: the options of `fit.py`, the allocation's among them.
        allocation: what the job requests from the cluster.
    """
    lines = ["#!/bin/bash", *directives(name, allocation, folder_of(name, words)), ""]
    lines.append("export PYTHONUNBUFFERED=1  # what a task says is in the output when it ends, however it ends")
    srun = f"srun --kill-on-bad-exit=0 --wait={STRAGGLE}"
    if allocation.cpus_per_task:
        lines.append(f"export OMP_NUM_THREADS={allocation.cpus_per_task}")
        srun += f" --cpus-per-task={allocation.cpus_per_task}"  # since SLURM 22.05 srun does not inherit it
    command = command_line([sys.executable, str(FIT), *words])
    lines.append(
        f"""
# After the first task's end the others have {STRAGGLE} seconds. (kill-on-bad-exit would send them SIGTERM at once,
# while they exit, and a failure would look like preemption.)
{srun} {command}
status=$?

# Stopped by SIGUSR1 before the time limit, or by SIGUSR2 or SIGTERM at preemption, the run has saved a checkpoint and
# exited with 128 plus the signal. Requeued, the job resumes from there. A run that failed has another status, and
# scancel ends this script too: neither is requeued.
case $status in
  138 | 140 | 143)
    echo "stopped by signal $((status - 128)): job $SLURM_JOB_ID goes back into the queue"
    scontrol requeue "$SLURM_JOB_ID" && exit ;;
esac
exit "$status"
"""
    )
    return "\n".join(lines)


def submit(name: str, words: list[str], allocation: Allocation) -> str:
    """Submit the job to SLURM; keep its script next to its output.

    Returns:
        The message for the user.

    Raises:
        UsageError: there is no SLURM, it refuses the job, or the output's folder cannot be written.
    """
    if shutil.which("sbatch") is None:
        raise UsageError(
            "sbatch: no such command here; submit on a machine of the cluster (--dry-run shows the script)"
        )
    script, folder = batch_script(name, words, allocation), folder_of(name, words)
    try:
        folder.mkdir(parents=True, exist_ok=True)  # SLURM does not create it, and the job would fail without a message
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise UsageError(f"--logs {folder.parent}: cannot be written ({error.strerror})") from None
    done = subprocess.run(["sbatch", "--parsable"], input=os.fsencode(script), capture_output=True, check=False)
    if done.returncode:
        message = done.stderr.decode(errors="replace").replace("sbatch: error: ", "").strip()
        raise UsageError(f"sbatch refused the job: {message or f'status {done.returncode}'}")
    job = done.stdout.decode().strip().partition(";")[0]  # a federation's cluster comes after the semicolon
    kept, output = folder / f"slurm-{job}.sh", folder / f"slurm-{job}.out"
    with atomic_write(kept) as file:
        file.write(os.fsencode(script))
    return (
        f"job {job}: {name} on {allocation.size}\n"
        f"script: {quoted(relative(kept))}\noutput: {quoted(relative(output))}\nqueue:  squeue --job {job}"
    )


def submit_run(words: list[str]) -> None:
    """Check a run's options here, then write its script and submit it, or with `--dry-run` print it.

    Raises:
        UserError: an option is wrong, or the job cannot be submitted.
    """
    dry = "--dry-run" in words
    allocation, rest = take_allocation([word for word in words if word != "--dry-run"])
    checked = with_array_task(rest, "0") if any(name == "array" for name, _ in allocation.further) else rest
    request = resolve([*checked, "--trainer.accelerator", "cpu", "--trainer.devices", "1"])
    from scripts.cli.command_line.options import (  # imports torch: a misspelt option should not wait in the queue
        parse,
        resolved,
    )

    with user_errors():
        _, config = parse(request)  # on a CPU, which is everywhere: the job's own devices are not here
        now = resolved(request, config)
        before = request.earlier
        if before is not None:
            now["trainer"] |= {name: before["trainer"][name] for name in ("num_nodes", "devices", "accelerator")}
            refuse_changes([*allocation.changes(before["trainer"]), *differences(before, now)], config.inexact)
    rest += allocation.trainer
    if dry:
        sys.stdout.buffer.write(os.fsencode(batch_script(request.name, rest, allocation)))
        sys.stdout.flush()
    else:
        print(submit(request.name, rest, allocation))
