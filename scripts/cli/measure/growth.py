"""How time and memory grow with the data, for each kind of data."""

import json
import math
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from callbacks.run.run_folder import RunFolder
from datamodules.synthetic.reviews import generated_reviews
from scripts.cli.command_line.recipes import ROOT, Request
from scripts.cli.errors import UsageError
from scripts.cli.measure.chosen import measure_each
from scripts.cli.run.experiment import Experiment
from scripts.cli.run.files import write_json
from scripts.cli.run.memory import held
from scripts.cli.text_table import aligned

SCALES = (1, 4, 16)
WORSE = 1.3  # exponent from which a step is worse than linear; below, it may be noise
NOISE = {"memory": 100e6}  # by which equal runs differ
NOISE_SECONDS = 1.0
SEED = 3


class Kind(NamedTuple):
    """A kind of data, and who learns from it.

    Args:
        model: its recipe.
        size: examples of the smallest data: so many that they take longer than what every run does.
        write: writes so many examples into a folder; what `--data` is to name.
        words: further options.
    """

    model: str
    size: int
    write: Callable[[Path, int], Path]
    words: tuple[str, ...] = ()


def write_lines(file: Path, lines: list[str]) -> Path:
    """A file of lines."""
    file.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return file


def write_table(folder: Path, size: int) -> Path:
    """A table of ten columns and two classes."""
    values = np.random.default_rng(SEED).normal(size=(size, 10)).round(3)
    header = ",".join([*(f"x{index}" for index in range(10)), "class"])
    rows = [",".join([*map(str, row), "high" if row[0] > 0 else "low"]) for row in values.tolist()]
    return write_lines(folder / "table.csv", [header, *rows])


def write_series(folder: Path, size: int) -> Path:
    """An hourly series."""
    values = np.sin(np.arange(size) / 24) + np.random.default_rng(SEED).normal(size=size) / 5
    return write_lines(folder / "series.csv", ["value", *(f"{value:.4f}" for value in values)])


def write_texts(folder: Path, size: int) -> Path:
    """Reviews, with words of their own."""
    random_words = random.Random(SEED)
    texts, labels = generated_reviews(size, SEED)
    rows = [
        f'"{text} {random_words.randrange(size)} {random_words.randrange(10**6)}",{label}'
        for text, label in zip(texts, labels, strict=True)
    ]
    return write_lines(folder / "texts.csv", ["text,label", *rows])


def write_images(folder: Path, size: int) -> Path:
    """A folder of each of two classes."""
    noise = np.random.default_rng(SEED)
    for index in range(size):
        name = ("dark", "light")[index % 2]
        (folder / name).mkdir(exist_ok=True)
        pixels = noise.integers(0, 128, (28, 28)) + 127 * (index % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{index}.png")
    return folder


def write_nodes(folder: Path, size: int) -> Path:
    """A graph of five edges a node, mostly within its two classes."""
    noise = np.random.default_rng(SEED)
    nodes = [f"n{index},{'ab'[index % 2]},{value:.3f}" for index, value in enumerate(noise.normal(size=size))]
    write_lines(folder / "nodes.csv", ["id,label,x", *nodes])
    ends = noise.integers(0, size, (5 * size, 2))
    write_lines(
        folder / "edges.csv", ["from,to", *(f"n{first},n{second}" for first, second in ends if first != second)]
    )
    return folder


def write_graphs(folder: Path, size: int) -> Path:
    """Rings and paths of ten nodes, as TUDataset lays graphs out."""
    edges = [
        f"{10 * graph + first + 1}, {10 * graph + (first + 1) % 10 + 1}"
        for graph in range(size)
        for first in range(10 - graph % 2)
    ]
    write_lines(folder / "rings_A.txt", edges)
    write_lines(folder / "rings_graph_indicator.txt", [str(graph + 1) for graph in range(size) for _ in range(10)])
    write_lines(folder / "rings_graph_labels.txt", [str(graph % 2) for graph in range(size)])
    return folder


KINDS = {
    "tables": Kind("mlp", 5000, write_table),
    "series": Kind("lstm", 4000, write_series, ("--data.window", "24")),
    "texts": Kind("attention_rnn", 1000, write_texts),
    "images": Kind("cnn", 500, write_images),
    "graphs": Kind("gat", 500, write_graphs),
    "nodes": Kind("gcn", 4000, write_nodes, ("--trainer.max_epochs", "5")),
}


def cpu_seconds() -> float:
    """Of this process and of those that it has started and waited for: other jobs on the machine do not count."""
    return sum(os.times()[:4])


class Timed(Experiment):
    """A run that knows when its training was over."""

    trained = 0.0

    def _test(self, run: RunFolder) -> None:
        self.trained = cpu_seconds()
        super()._test(run)


def measure(request: Request, report: Path) -> None:
    """Train and test, and write the CPU seconds of each step and the peak memory as JSON.

    Args:
        request: what to train.
        report: the file.
    """
    run = Timed(request)
    began = cpu_seconds()
    run.build()
    read = cpu_seconds()
    run.fit()
    memory, _ = held(run.trainer.strategy.root_device)
    seconds = {
        "read and split": read - began,
        "train": run.trained - read,
        "test and report": cpu_seconds() - run.trained,
    }
    write_json(report, {**seconds, "memory": memory})


def exponent(values: list[float], noise: float) -> float | None:
    """p of `value = a + b size^p`, where each size is four times the one before; 1 is linear.

    What does not grow cancels out in the differences: `(v16 - v4) / (v4 - v1) = 4^p`.

    Args:
        values: at the three sizes.
        noise: by which equal runs differ. None where a linear step would have grown by no more than that at first.
    """
    first, second, third = values
    if third - second < 4 * noise:
        return None
    return math.log((third - second) / max(second - first, noise), 4)


def grown(kind: Kind, words: list[str]) -> dict[str, list[float]]:
    """What each step takes at each scale, each in a process of its own."""
    found: dict[str, list[float]] = {}
    for scale in SCALES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "data"
            folder.mkdir()
            data, report = kind.write(folder, scale * kind.size), Path(name) / "report.json"
            command = [sys.executable, str(ROOT / "scripts" / "benchmark.py"), "--growth", "--model", kind.model]
            command += ["--data", str(data), "--trainer.max_epochs", "1", "--logs", str(Path(name) / "logs")]
            command += [*kind.words, *words, "--report", str(report)]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
            if done.returncode:
                raise UsageError(done.stderr.strip().splitlines()[-1])
            for step, value in json.loads(report.read_text(encoding="utf-8")).items():
                found.setdefault(step, []).append(value)
    return found


def table(found: dict[str, dict[str, list[float]]]) -> str:
    """A line for each step of each kind, and those that are worse than linear by name."""
    lines = [["", "step", *(f"{scale}×" for scale in SCALES), "exponent"]]
    worse = []
    for name, steps in found.items():
        for step, values in steps.items():
            cells = [f"{value / 1e6:,.0f} MB" if step == "memory" else f"{value:.2f} s" for value in values]
            fitted = exponent(values, NOISE.get(step, NOISE_SECONDS))
            shown = "–" if fitted is None else f"{fitted:.2f}"
            lines.append([f"{name} ({KINDS[name].size:,})", step, *cells, shown])
            if fitted is not None and fitted > WORSE:
                worse.append(f"{name}, {step}: grows with the data to the power of {fitted:.2f}")
    end = ["worse than linear:", *worse] if worse else [f"no step is worse than linear (exponent above {WORSE})"]
    end.append(
        f"–: from 4× to 16× by less than {4 * NOISE_SECONDS:.0f} CPU seconds, or {4 * NOISE['memory'] / 1e6:.0f} MB"
    )
    return "\n".join([aligned(lines, left=2), "", *end])


def print_growth(words: list[str], only: list[str]) -> None:
    """Measure and print.

    Args:
        words: options of fit.py for each run.
        only: kinds of data; none for all.

    Raises:
        UsageError: a kind is none of those there are, or a run has failed.
    """
    print(table(measure_each(only, KINDS, lambda _, kind: grown(kind, words))))
