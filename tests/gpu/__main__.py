"""The GPU check, which .ci/gpu starts: runs its parts, says what failed, and writes a table and the figures."""

import argparse
import json
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import torch

from scripts.cli.command_line.classes import class_at
from scripts.cli.command_line.recipes import read_recipe, recipe_names
from scripts.cli.run.library_messages import quiet
from tests.gpu.exactness import recipe_parts, technique_parts
from tests.gpu.parts import FAILED, PASSED, SKIPPED, Part, Stage, run_all
from tests.gpu.paths import path_parts
from tests.gpu.speed import probe, speed_parts
from tests.gpu.table import table

# These import torch_geometric, which initialises CUDA, and then no forked process could use it.
GEOMETRIC = ("gat", "gat_nodes", "gcn")


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog=".ci/gpu", description=__doc__)
    parser.add_argument("--cpu", action="store_true", help="leave the GPUs alone; so it is where there are none")
    parser.add_argument("--small", action="store_true", help="only some parts, with little data")
    parser.add_argument("--only", nargs="+", metavar="PART", help="groups or parts, as --list names them")
    parser.add_argument("--list", action="store_true", help="print the names of the parts")
    parser.add_argument("--seconds", type=float, default=480, help="that all of it may take")
    parser.add_argument("--jobs", type=int, help="parts side by side; by default half the cores, but not more than six")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the log, the table and the figures")
    return parser.parse_args()


def parts_of(device: dict[str, object], small: bool) -> list[Part]:
    """All parts, in order of importance.

    Args:
        device: what `probe` found.
        small: only some.
    """
    gpus = int(str(device["gpus"]))
    kind, precision = ("gpu", "bf16-mixed") if gpus else ("cpu", "32")
    words = ["--trainer.accelerator", kind, "--trainer.precision", precision]
    exactness, speed = recipe_parts(words, small), speed_parts(words, small)
    return [*exactness, *speed, *path_parts(words, gpus, small), *technique_parts(words, small)]


def main() -> int:
    """Run the parts; the exit status."""
    began = time.monotonic()
    given = options()
    given.out.mkdir(parents=True, exist_ok=True)
    cores = len(os.sched_getaffinity(0))
    jobs = given.jobs or max(1, min(6, cores // 2))
    torch.set_num_threads(max(1, cores // jobs))
    quiet()
    for name in recipe_names():  # imported once, before anything is forked
        if name not in GEOMETRIC:
            recipe = read_recipe(name)
            class_at(recipe["model"]["class_path"])
            class_at(recipe["data"]["class_path"])
    with (given.out / "gpu.log").open("w", encoding="utf-8") as log, tempfile.TemporaryDirectory() as folder:

        def say(line: str) -> None:
            stamped = f"[{time.monotonic() - began:5.1f}] {line}"
            print(stamped, flush=True)
            print(stamped, file=log, flush=True)

        deadline = began + given.seconds
        machine = Part("device", "probe", [Stage(partial(probe, given.cpu))])
        run_all([machine], Path(folder), deadline, 1, say)
        if machine.status != PASSED:
            return 1
        parts = parts_of(machine.found, given.small)
        parts = [part for part in parts if not given.only or {part.group, part.title} & set(given.only)]
        if given.list or not parts:
            print("\n".join(part.title for part in parts) or f"no part is called {' or '.join(given.only)}")
            return 0 if parts else 2
        say(f"{len(parts)} parts on {machine.found['device']}, {jobs} side by side, {given.seconds:.0f} s in all")
        run_all(parts, Path(folder), deadline, jobs, say)
        with (given.out / "failures.txt").open("w", encoding="utf-8") as file:
            for part in parts:
                if part.status == FAILED:
                    text = (Path(folder) / part.group / part.name / "log.txt").read_text(errors="replace")
                    file.write(f"==== {part.title}: {part.reason}\n{text[-20_000:]}\n")
    text = table(machine.found, parts, time.monotonic() - began)
    (given.out / "gpu.md").write_text(text, encoding="utf-8")
    results = {part.title: {"status": part.status, "seconds": part.took, **part.found} for part in parts}
    (given.out / "gpu.json").write_text(json.dumps({"machine": machine.found, "parts": results}, indent=1))
    print(text, flush=True)
    return 1 if any(part.status in (FAILED, SKIPPED) for part in parts) else 0


if __name__ == "__main__":
    sys.exit(main())
