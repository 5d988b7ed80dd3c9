"""Runs with everything on against plain loops of the same networks: a table."""

import copy
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Trainer

from callbacks.run.throughput import Throughput, batch_size_of, tokens_of
from datamodules.errors import UserError
from scripts.cli.command_line.recipes import ROOT, resolve
from scripts.cli.errors import UsageError
from scripts.cli.measure import benchmark
from scripts.cli.measure.chosen import measure_each
from scripts.cli.measure.references import gan, graphs, nodes, rows, texts
from scripts.cli.run.experiment import Experiment
from scripts.cli.run.files import read_json, write_json
from scripts.cli.run.provenance import machine, versions
from scripts.cli.text_table import aligned

ROUNDS = 5
SECONDS = 4.0  # of a round of the plain loop
MOST = 400  # steps of a round
STARTS = ("mlp", "linear_regression", "gat")  # whose way to the first step is timed, too
START_ROUNDS = 3

Plain = Callable[[Any, Any, int, float | None], Iterator[Any]]


class Work(NamedTuple):
    """What is compared.

    Args:
        plain: the steps of the plain loop, from model, data, steps in all, and the norm at which gradients are clipped.
        unit: in which speed is told: step, epoch, or what comes so many times a second.
        published: options of published data, used where `--data.root` is given.
    """

    plain: Plain
    unit: str
    published: tuple[str, ...] = ()


WORKS = {
    "mlp": Work(rows.classifier, "step"),
    "lstm": Work(rows.forecaster, "step", ("--data", "ETTh1", "--data.target", "OT", "--data.window", "96")),
    "gcn": Work(nodes.gcn, "200 epochs", ("--data", "Cora")),
    "gat_nodes": Work(nodes.gat, "epoch", ("--data", "Cora")),
    "gat": Work(graphs.gat, "epoch", ("--data", "PROTEINS")),
    "cnn": Work(rows.classifier, "epoch", ("--data", "MNIST", "--data.shift", "2")),
    "resnet": Work(rows.classifier, "images"),
    "bert_classifier": Work(texts.classifier, "tokens", ("--data", "SST-2")),
    "transformer": Work(texts.translator, "tokens", ("--data", "Multi30k", "--data.target", "de")),
    "gan": Work(gan.gan, "step", ("--data", "MNIST")),
}
EPOCHS = {"step": None, "epoch": 1, "200 epochs": 200}  # in a unit; the others are rates


class Stopwatch(Throughput):
    """Counts from the end of the first step on: what is shown and prepared before is part of a run's start.

    It comes after all other callbacks, so that their work is timed, too.
    """

    is_running = False

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Count a batch; after the first one begin to."""
        if self.is_running:
            super().on_train_batch_end(trainer, *args)
        self.is_running = True
        self.on_train_epoch_start(trainer, args[0])
        self._began = self._began if self.batch_seconds else self._resumed


class Row(NamedTuple):
    """One line of the table: seconds for each example or token, of each round.

    Args:
        data: its name.
        unit: as in Work.
        scale: examples or tokens of the plain loop in a unit.
        plain: seconds of the plain loop.
        ours: of the run with everything on.
        training: of its training batches alone, without validation and saving.
    """

    data: str
    unit: str
    scale: float
    plain: list[float]
    ours: list[float]
    training: list[float]

    @property
    def ratios(self) -> list[float]:
        """Ours over theirs, of each round."""
        return [ours / plain for ours, plain in zip(self.ours, self.plain, strict=True)]

    @property
    def of_training(self) -> list[float]:
        """The same of the training batches alone."""
        return [ours / plain for ours, plain in zip(self.training, self.plain, strict=True)]

    def told(self, seconds: Sequence[float]) -> str:
        """The median as the unit says it."""
        median = statistics.median(seconds)
        if self.unit not in EPOCHS:
            return f"{1 / median:,.0f} {self.unit}/s"
        whole = median * self.scale
        return f"{whole * 1e3:.2f} ms" if whole < 1 else f"{whole:.2f} s"


def compare(words: list[str], only: list[str]) -> dict[str, Row]:
    """Measure each work, or those that are named.

    Args:
        words: options of fit.py for each of them.
        only: names of models; none for all.

    Raises:
        UsageError: a name is none of them.
    """
    return measure_each(only, WORKS, lambda name, work: measured(name, work, words))


def measured(name: str, work: Work, words: list[str]) -> Row:
    """A row: the plain loop and the run in turn, in alternating order, after a round that warms up."""
    run = built(name, work, words)
    config, data = run.options, run.data
    per_epoch = len(data.train_dataloader())
    clip = config.trainer.gradient_clip_val
    began = time.perf_counter()
    list(islice(work.plain(copy.deepcopy(run.model), data, MOST, clip), 4))
    step = (time.perf_counter() - began) / 4
    steps = 200 if work.unit == "200 epochs" else max(4, min(MOST, int(SECONDS / step)))
    steps = benchmark.shorten(config, data, steps)
    part = min(1.0, steps / per_epoch)  # of the validation as of the training
    config.trainer.limit_val_batches = max(1, round(part * len(data.val_dataloader())))
    done: list[tuple[float, int]] = []
    row = Row(data.dataset, work.unit, 0, [], [], [])
    for index in range(ROUNDS + 1):
        for ours in (False, True) if index % 2 else (True, False):
            if ours:
                throughput = trained(run)
                amount = int(throughput.tokens) or throughput.examples
                row.ours.append(throughput.train_seconds / amount)
                row.training.append(throughput.batch_seconds / amount)
            else:
                done.append(looped(work.plain(copy.deepcopy(run.model), data, steps, clip), steps))
                row.plain.append(done[-1][0] / done[-1][1])
    for column in (row.plain, row.ours, row.training):
        del column[0]
    per_step = done[-1][1] / steps
    epochs = EPOCHS.get(work.unit)
    return row._replace(scale=per_step if epochs is None else per_step * per_epoch * epochs)


def built(name: str, work: Work, words: list[str]) -> Experiment:
    """An experiment on published data where it is, or else on what comes with the project."""
    words = ["--model", name, *words]
    if work.published and any(word.split("=")[0] == "--data.root" for word in words):
        try:
            return benchmark.built(resolve([*words, *work.published]))
        except UserError as error:
            print(f"note: {name} is measured on embedded data: {error}", file=sys.stderr)
    return benchmark.built(resolve(words))


def looped(steps: Iterator[Any], count: int) -> tuple[float, int]:
    """The seconds of so many steps, and the examples or tokens in them."""
    amount = 0
    next(steps)  # the first one sets libraries up
    began = time.perf_counter()
    for batch in islice(steps, count):
        amount += int(tokens_of(batch)) or (len(batch.y) if hasattr(batch, "y") else batch_size_of(batch))
    return time.perf_counter() - began, amount


def trained(run: Experiment) -> Stopwatch:
    """What a run with everything on has counted."""
    stopwatch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        trainer, model = benchmark.new_trainer(run, Path(folder))
        trainer.callbacks.append(stopwatch)  # type: ignore[attr-defined]
        benchmark.fit(run, trainer, model)
    return stopwatch


def starts(names: Sequence[str], words: list[str]) -> dict[str, dict[str, list[float]]]:
    """Seconds from a process's start to the end of its first training step, and those of `import torch`, in turn."""
    found: dict[str, dict[str, list[float]]] = {}
    for name in names:
        found[name] = {"import torch": [], "first step": []}
        for _ in range(START_ROUNDS):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", "import torch"], check=True)
            found[name]["import torch"].append(time.perf_counter() - began)
            with tempfile.TemporaryDirectory() as folder:
                report = Path(folder) / "report.json"
                command = [sys.executable, str(ROOT / "scripts" / "benchmark.py"), "--model", name, *words]
                subprocess.run([*command, "--report", str(report)], check=True, stderr=subprocess.DEVNULL)
                found[name]["first step"].append(json.loads(report.read_text(encoding="utf-8"))["first_step"])
    return found


def spread(values: Sequence[float]) -> str:
    """Median, minimum and maximum."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def table(found: dict[str, Row], first_steps: dict[str, dict[str, list[float]]]) -> str:
    """Both tables on the screen."""
    header = ["", "data", "of one", "plain loop", "ours, all on", "ours ÷ theirs", "training steps alone"]
    lines = [header]
    for name, row in found.items():
        unit = row.unit if row.unit in EPOCHS else "–"
        cells = [row.told(row.plain), row.told(row.ours), spread(row.ratios), spread(row.of_training)]
        lines.append([name, row.data, unit, *cells])
    text = f"{aligned(lines, left=3)}\n\nmedian of {ROUNDS} rounds (minimum–maximum), in alternating order"
    if first_steps:
        rows = [["to the first step", "import torch", "ours", "ours ÷ import"]]
        for name, seconds in first_steps.items():
            medians = [f"{statistics.median(each):.1f} s" for each in seconds.values()]
            rows.append([name, *medians, spread(ratios_of(seconds))])
        text += f"\n\n{aligned(rows, left=1)}"
    return text


def ratios_of(seconds: dict[str, list[float]]) -> list[float]:
    """First steps over `import torch`."""
    return [ours / torch_alone for torch_alone, ours in zip(*seconds.values(), strict=True)]


def figures(found: dict[str, Row], first_steps: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    """What is written as JSON: the ratios of each round by name, the rows as they are, and the machine."""
    ratios = {name: row.ratios for name, row in found.items()}
    ratios |= {f"{name}, first step": ratios_of(seconds) for name, seconds in first_steps.items()}
    return {
        "machine": machine(),
        "versions": versions(),
        "threads": torch.get_num_threads(),
        "ratios": ratios,
        "rows": {name: row._asdict() for name, row in found.items()},
        "first_step": first_steps,
    }


def slower(now: dict[str, Any], before: dict[str, Any]) -> list[str]:
    """A line for each ratio that has grown beyond the spread: the fastest round now is slower than the slowest then."""
    known = before.get("ratios", {})
    return [
        f"{name}: {spread(known[name])} times the plain loop before, {spread(ratios)} now"
        for name, ratios in now["ratios"].items()
        if known.get(name) and min(ratios) > max(known[name])
    ]


def print_comparison(words: list[str], only: list[str], output: str | None, earlier: str | None) -> None:
    """Measure and print the table, write its figures, and compare them with earlier ones.

    Raises:
        UserError: a name or a file is not what it has to be.
        SystemExit: with 1, something has become slower.
    """
    before = None if earlier is None else read_json(Path(earlier))
    if before is not None and not isinstance(before.get("ratios"), dict):
        raise UsageError(f"--compare {earlier}: expected a file that --json has written")
    found = compare(words, only)
    first_steps = starts([name for name in STARTS if not only or name in only], words)
    now = figures(found, first_steps)
    print(table(found, first_steps))
    if output is not None:
        write_json(Path(output), now)
    if before is None:
        return
    if before.get("machine") != now["machine"]:
        print(f"note: {earlier} is of another machine; ratios are compared", file=sys.stderr)
    unknown = [name for name in now["ratios"] if name not in before["ratios"]]
    if unknown:
        print(f"note: {earlier} has no {', '.join(unknown)}", file=sys.stderr)
    lines = slower(now, before)
    print("\n".join(["", "slower than before:", *lines] if lines else ["", "nothing is slower than before"]))
    if lines:
        raise SystemExit(1)
