"""Where a run's results come from: the commit of the code, the versions of packages, the machine."""

import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch
from lightning.pytorch import Trainer

from datamodules.files.paths import printable
from scripts.cli.command_line.recipes import ROOT

CODE = ("lightning_modules", "datamodules", "callbacks", "scripts")  # that a run executes, with the recipes
PACKAGES = (
    "lightning-template",
    "torch",
    "lightning",
    "torchvision",
    "transformers",
    "torch-geometric",
    "torchmetrics",
)
STATUS = ("--porcelain=v2", "--branch", "--untracked-files=normal")
OID = "# branch.oid "
SOON = 0.05  # seconds to wait for an answer that is not there yet: a run is not delayed by a git that hangs


class Commit:
    """The commit of the project's code, which git is asked for in the background.

    There is none without git, outside a repository, in a repository that does not contain this code (such as one around
    the environment into which it is installed), and where git refuses, as another user's repository, or hangs.

    Args:
        root: the folder of the code.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self._answer: dict[str, Any] | None = None
        self._asked: list[subprocess.Popen[str]] = []
        inside = any(os.path.exists(each / ".git") for each in (root, *root.parents))  # Path.exists may be denied
        git = shutil.which("git") if inside else None
        if git is None:
            return
        # A variable such as GIT_DIR, as a hook of git sets it, would name another repository.
        variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        variables["GIT_OPTIONAL_LOCKS"] = "0"  # the index is left as it is
        try:
            for words in (["ls-files", "--", *CODE], ["status", *STATUS, "--", *CODE]):
                self._asked.append(
                    subprocess.Popen(
                        [git, "-C", str(root), *words],
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.DEVNULL,
                        encoding="utf-8",
                        errors="replace",
                        env=variables,
                    )
                )
        except OSError:  # it cannot be run
            self.close()

    @property
    def is_asked(self) -> bool:
        """Whether git has not answered yet."""
        return bool(self._asked)

    def answer(self) -> dict[str, Any] | None:
        """The commit's `id`, and whether the code is `clean`, unchanged since; None without one, or without one yet."""
        if self._asked:
            try:
                tracked, status = (process.communicate(timeout=SOON)[0] for process in self._asked)
            except subprocess.TimeoutExpired:
                return None
            if tracked.strip() and all(process.returncode == 0 for process in self._asked):
                self._answer = _parsed(status)
            self._asked = []
        return self._answer

    def close(self) -> None:
        """End git, if it has not ended."""
        for process in self._asked:
            process.kill()
            assert process.stdout is not None
            process.stdout.close()  # which what git has started may still have open, as its monitor of files
            with suppress(subprocess.TimeoutExpired):  # of a network file system that hangs
                process.wait(SOON)
        self._asked = []


def _parsed(status: str) -> dict[str, Any] | None:
    lines = status.splitlines()
    found = next((line.removeprefix(OID) for line in lines if line.startswith(OID)), "")
    is_one = len(found) >= 40  # `(initial)` before the first
    return {"id": found, "clean": all(line.startswith("#") for line in lines)} if is_one else None


def provenance(commit: Commit | None, trainer: Trainer) -> dict[str, Any]:
    """What `results.json` has of where results come from: `commit`, `versions` and `machine`."""
    device: torch.device = trainer.strategy.root_device
    return {
        "commit": commit.answer() if commit is not None else None,
        "versions": versions(),
        "machine": machine(device, trainer.device_ids),
    }


@cache
def versions() -> dict[str, str]:
    """The versions of Python and of the packages that decide about a run, by their names."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    if torch.version.cuda:
        found["cuda"] = torch.version.cuda
    return found


def machine(device: torch.device | None = None, indices: Sequence[int] = (0,)) -> dict[str, Any]:
    """The machine of the first process: its name, system, processor, cores, memory and the devices that are used.

    Args:
        device: that the run computes on.
        indices: of its GPUs that the run uses.
    """
    kind = "cpu" if device is None else device.type
    devices = [torch.cuda.get_device_name(index) for index in indices] if kind == "cuda" else []
    return {
        "host": socket.gethostname(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "devices": devices or ([] if kind == "cpu" else [kind]),
    }


def processor() -> str:
    """The processor's model, as far as the system tells without another process."""
    if sys.platform.startswith("linux"):
        with suppress(OSError):
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
                if line.lower().startswith("model name"):
                    return line.partition(":")[2].strip()
        return platform.machine()
    return platform.processor() or platform.machine()


def provenance_table(facts: dict[str, Any]) -> str:
    """Commit, versions and machine as a table in Markdown.

    Args:
        facts: `commit`, `versions` and `machine`, as `results.json` has them.
    """
    commit, machine = facts["commit"], facts["machine"]
    state = "" if commit is None else "" if commit["clean"] else ", and changes since"
    rows = {
        "commit": "not known" if commit is None else f"{commit['id']}{state}",
        **facts["versions"],
        **{name: ", ".join(value) if isinstance(value, list) else value for name, value in machine.items()},
    }
    shown = (f"| {name} | {printable(value)} |" for name, value in rows.items() if value != "")
    return "\n".join(["| | |", "| --- | --- |", *shown])
