"""The files that runs write, by which those are told apart that a user has put beside them."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from scripts.cli.runs.recorded_run import RecordedRun

OF_RUN = re.compile(
    r"config\.yaml|results(_of_step_\d+)?\.json|metrics\.csv|test_predictions\.csv|baselines\.pt|report\.html|"
    r"events\.out\.tfevents\..+|projector_config\.pbtxt|fit-profile.*|(wandb|mlflow)_id|\.wandb_unfinished|"
    r"\.lock(\.held)?|\.failed-.+"
)
OF_CHECKPOINTS = re.compile(r"(best|last|previous|epoch_\d+|.+_step_\d+)\.ckpt|\..+")  # hidden: not written to the end
OF_PICTURES = re.compile(r".+\.(png|svg)")
PROJECTOR = re.compile(r"\d{5,}")  # the folder of a step, with one for each set of points that TensorBoard shows
OF_POINTS = ("tensors.tsv", "metadata.tsv", "sprite.png")
OF_TRIAL = re.compile(r"output\.txt")
BEST = "best.ckpt"


def foreign(run: RecordedRun) -> list[str]:
    """What is in a run's folder, or above it in its trial's, that no run writes; links are, wherever they lead.

    Raises:
        OSError: a folder cannot be read.
    """
    found = [*_foreign(run.folder)]
    top = top_of(run)
    if top != run.folder:
        found += [f"../../{name}" for name in os.listdir(top) if not (OF_TRIAL.fullmatch(name) or name == run.model)]
        found += [f"../{name}" for name in os.listdir(run.folder.parent) if name != run.folder.name]
    return found


def _foreign(folder: Path) -> Iterator[str]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            if PROJECTOR.fullmatch(entry.name):
                yield from (f"{entry.name}/{each}" for each in _foreign_points(Path(entry.path)))
                continue
            files = {"checkpoints": OF_CHECKPOINTS, "pictures": OF_PICTURES}.get(entry.name)
            if files is None:
                yield f"{entry.name}/"
                continue
            for inside in sorted(os.scandir(entry.path), key=lambda inside: inside.name):
                if not inside.is_file(follow_symlinks=False) or not files.fullmatch(inside.name):
                    yield f"{entry.name}/{inside.name}"
        elif not entry.is_file(follow_symlinks=False) or not OF_RUN.fullmatch(entry.name):
            yield entry.name


def _foreign_points(folder: Path) -> Iterator[str]:
    """What is in the folder of a step's points, and is none of them."""
    for points in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if not points.is_dir(follow_symlinks=False):
            yield points.name
            continue
        for inside in sorted(os.scandir(points.path), key=lambda entry: entry.name):
            if not inside.is_file(follow_symlinks=False) or inside.name not in OF_POINTS:
                yield f"{points.name}/{inside.name}"


def top_of(run: RecordedRun) -> Path:
    """The folder that goes with a run: its own, or that of its trial."""
    return run.folder.parents[1] if run.plan and re.fullmatch(r"trial_\d+", run.folder.parents[1].name) else run.folder


def size_of(paths: list[Path]) -> int:
    """The bytes that are free when these files and folders are gone: a file of two names counts once, if both go."""
    names: dict[tuple[int, int], int] = {}
    states: dict[tuple[int, int], os.stat_result] = {}
    for path in paths:
        inside = [Path(place) / name for place, _, files in os.walk(path) for name in files]
        for file in inside if path.is_dir() else [path]:
            state = file.lstat()
            key = (state.st_dev, state.st_ino)
            names[key] = names.get(key, 0) + 1
            states[key] = state
    return sum(state.st_size for key, state in states.items() if state.st_nlink <= names[key])
