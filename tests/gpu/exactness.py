"""Every recipe on the GPU: trained, stopped, killed, resumed, tested; every technique stopped and resumed."""

import csv
import json
import math
import signal
from functools import partial
from pathlib import Path
from typing import Any

import torch

from callbacks.run.checkpoint_file import read_checkpoint
from scripts.cli.command_line.recipes import recipe_names
from scripts.cli.evaluate import prediction, testing
from tests.gpu.parts import Figures, Part, Stage
from tests.helpers.example_inputs import example_input
from tests.helpers.stopping import FURTHER, GRAPHS, IMAGES, SHORT, TECHNIQUES, TWICE, WORDS, compare, in_pieces, train

SIGTERM_AT, SIGKILL_AT = 2, 6  # of eight steps; four make an epoch, and the last save before the kill is that of step 4
CHANGED = {  # training data that is augmented on the device
    "images augmented": ("cnn", IMAGES),
    "images augmented, further": (
        "cnn",
        [
            *("--data.auto_augment", "randaugment", "--data.crop", "0.5", "--data.shift", "1", "--data.flip", "true"),
            *("--data.rotate", "10"),
        ],
    ),
    "words augmented": ("attention_rnn", WORDS),
    "graphs augmented": ("gat", GRAPHS),
    "nodes augmented": ("gcn", GRAPHS),
}
SMALL = ("mlp", "gcn")  # what the small form runs
CLOSE = 1e-3  # of a test's score, on the same device


def recipe_parts(device: list[str], small: bool) -> list[Part]:
    """A part for each recipe.

    Args:
        device: the options that say where to train, and in which precision.
        small: only some.
    """
    names = SMALL if small else tuple(recipe_names())
    stages = (begin, killed, finish, explain)
    return [
        Part(
            "exactness",
            name,
            [Stage(partial(run, name, device), -signal.SIGKILL if run is killed else 0) for run in stages],
        )
        for name in names
    ]


def technique_parts(device: list[str], small: bool) -> list[Part]:
    """A part for each technique of tests/helpers/stopping.py, and for each augmentation of training data."""
    names = ["ema"] if small else [*TECHNIQUES, *CHANGED]
    return [Part("techniques", name.replace(" ", "_"), [Stage(partial(technique, name, device))]) for name in names]


def words_of(name: str, device: list[str]) -> list[str]:
    """The command line of a short run that saves every second step."""
    return ["--model", name, *SHORT, *FURTHER[name], *device, "--save_every", "2 steps"]


def begin(name: str, device: list[str], folder: Path, found: Figures) -> Figures:
    """Train without a stop; then begin again, and stop in the middle of an epoch."""
    words = words_of(name, device)
    assert train([*words, "--logs", str(folder / "whole")]) == 0
    memory = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    status = train([*words, "--logs", str(folder / "pieces")], SIGTERM_AT)
    assert status == 128 + signal.SIGTERM, status
    assert step_of(pieces_of(name, folder)) == SIGTERM_AT
    return {"memory": memory}


def killed(name: str, device: list[str], folder: Path, found: Figures) -> Figures:
    """Resume, and be killed in the middle of the next epoch."""
    train(["--resume", str(pieces_of(name, folder))], SIGKILL_AT, signum=signal.SIGKILL)
    raise AssertionError("was not killed")


def finish(name: str, device: list[str], folder: Path, found: Figures) -> Figures:
    """Resume, and compare with the run that nobody stopped; then test and predict from the checkpoint."""
    pieces = pieces_of(name, folder)
    assert step_of(pieces) == SIGKILL_AT - 2
    assert train(["--resume", str(pieces)]) == 0
    whole = folder / "whole" / name / "version_0"
    places = compare(whole, pieces)
    return {
        "unlike": places,
        "difference": largest_difference(whole, pieces),
        "score": score_again(pieces),
        **predictions(name, pieces, folder),
    }


def explain(name: str, device: list[str], folder: Path, found: Figures) -> Figures:
    """Where the two differ: whether two runs that nobody stopped do, too, and whether deterministic algorithms help."""
    if not found["unlike"]:
        return {}
    assert train([*words_of(name, device), "--logs", str(folder / "again")]) == 0
    runs = [folder / kind / name / "version_0" for kind in ("whole", "again")]
    assert compare(*runs), f"two runs that nobody stopped are equal, but the resumed one differs in {found['unlike']}"
    further = [*device, "--trainer.deterministic", "warn"]
    deterministic = in_pieces(name, folder / "deterministic", [SIGTERM_AT, SIGKILL_AT], further)
    return {
        "difference_of_whole": largest_difference(*runs),
        "unlike_deterministic": compare(*deterministic),
        "difference_deterministic": largest_difference(*deterministic),
    }


def technique(name: str, device: list[str], folder: Path, found: Figures) -> Figures:
    """Stop and resume a run with a technique; 16-mixed stays what it is."""
    recipe, further = (TECHNIQUES | CHANGED)[name]
    whole, pieces = in_pieces(recipe, folder, [3, 6], [*device, *further, *TWICE])
    return {"unlike": compare(whole, pieces), "difference": largest_difference(whole, pieces)}


def pieces_of(name: str, folder: Path) -> Path:
    """The folder of the run that is stopped."""
    return folder / "pieces" / name / "version_0"


def step_of(run: Path) -> int:
    """The step at which a run was saved last."""
    return int(read_checkpoint(run / "checkpoints" / "last.ckpt")["global_step"])


def largest_difference(whole: Path, pieces: Path) -> float:
    """The largest difference of a weight at the end of two runs, relative to the largest weight of its tensor."""
    one, other = (read_checkpoint(run / "checkpoints" / "last.ckpt")["state_dict"] for run in (whole, pieces))
    return max(_difference(one[name].double(), other[name].double()) for name in one)


def _difference(one: torch.Tensor, other: torch.Tensor) -> float:
    if not one.numel():
        return 0.0
    return float((one - other).abs().max() / one.abs().max().clamp(min=1e-12))


def score_again(run: Path) -> float:
    """The largest relative difference of a score that test.py gives from what fit.py gave."""
    before: dict[str, float] = json.loads((run / "results.json").read_text())["test"]
    after = testing.test([], [str(run)], None, None)
    assert before.keys() == after.keys()
    difference = max(abs(after[name] - before[name]) / max(1.0, abs(before[name])) for name in before)
    assert difference <= CLOSE, (before, after)
    return difference


def predictions(name: str, run: Path, folder: Path) -> Figures:
    """Rows that predict.py writes, and the fraction of them that a CPU agrees with."""
    source = example_input(name)
    cpu = ["--trainer.accelerator", "cpu", "--trainer.precision", "32"]
    tables = []
    for index, words in enumerate(([], cpu)):
        output = folder / f"predictions_{index}.csv"
        prediction.predict(words, [str(run)], [str(source)], None, str(output))
        with output.open(encoding="utf-8", newline="") as file:
            tables.append(list(csv.DictReader(file)))
    here, there = tables
    assert len(here) == len(there) > 0
    same = [_alike(row["prediction"], other["prediction"]) for row, other in zip(here, there, strict=True)]
    return {"predictions": len(here), "as_on_cpu": sum(same) / len(same)}


def _alike(one: Any, other: Any) -> bool:
    try:
        return math.isclose(float(one), float(other), rel_tol=0.02, abs_tol=1e-3)
    except ValueError:
        return bool(one == other)
