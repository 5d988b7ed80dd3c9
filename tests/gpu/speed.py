"""How fast networks of their usual sizes train under the Trainer, with what fraction of its peak, in what memory."""

import csv
import json
import os
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.flop_counter import FlopCounterMode

from datamodules.tokenizing.language import new_language_tokenizer
from scripts.cli.command_line.recipes import resolve
from scripts.cli.measure import benchmark
from scripts.cli.measure.benchmark import Clock, measure
from tests.gpu.parts import Figures, Part, Stage

WARM_UP, PROFILED, BARE = 5, 10, 10  # steps
PEAKS = {
    "H100": 989,
    "H200": 989,
    "A100": 312,
    "L40S": 362,
    "L4 ": 121,
    "4090": 165,
}  # dense bf16 TFLOP/s, as published
MATRIX = 8192


class Case(NamedTuple):
    """A network and its data.

    Args:
        words: its options, besides the device's.
        steps: of a round.
        write: makes the data, given the folder, and returns the options that name it.
        small: the options and steps of the small form; None where it has none.
    """

    words: list[str]
    steps: int
    write: Callable[[Path, bool], list[str]]
    small: list[str] | None = None


def words_of(dice: random.Random, low: int, high: int, prefix: str = "w") -> str:
    """A text of made-up words."""
    return " ".join(f"{prefix}{dice.randrange(2000)}" for _ in range(dice.randint(low, high)))


def texts(folder: Path, small: bool) -> list[str]:
    """Texts that are nearly as long as BERT reads."""
    dice = random.Random(0)
    with (folder / "texts.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for row in range(100 if small else 5000):
            writer.writerow([words_of(dice, 40, 120), row % 2])
    return ["--data", str(folder / "texts.csv")]


def pairs(folder: Path, small: bool) -> list[str]:
    """Sentences and what stands for their translations."""
    dice = random.Random(0)
    lines = [f"{words_of(dice, 20, 60)}\t{words_of(dice, 20, 60, 'u')}\n" for _ in range(200 if small else 10_000)]
    (folder / "pairs.tsv").write_text("".join(lines), encoding="utf-8")
    return ["--data", str(folder / "pairs.tsv")]


def rows(folder: Path, small: bool) -> list[str]:
    """A table of numbers."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(500 if small else 50_000, 30, generator=generator)
    with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"c{column}" for column in range(30)), "label"])
        writer.writerows([*row, "yes" if row[0] > 0 else "no"] for row in values.round(decimals=4).tolist())
    return ["--data", str(folder / "rows.csv")]


def motifs(folder: Path, small: bool) -> list[str]:
    """Graphs that the project makes up itself."""
    return ["--data.num_graphs", "200" if small else "6000"]


def long_text(folder: Path, small: bool) -> list[str]:
    """A text of letters at random, in windows without a border, and a vocabulary as large as GPT-2's."""
    generator = torch.Generator().manual_seed(0)
    letters = torch.randint(97, 123, (30_000 if small else 6_000_000,), dtype=torch.uint8, generator=generator)
    (folder / "text.txt").write_bytes(letters.numpy().tobytes())
    described = json.loads(new_language_tokenizer("bytes", [], 0).to_str())
    known = described["model"]["vocab"]
    known |= {f"never {index}": index for index in range(len(known), 1000 if small else 50_304)}
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "tokenizer.json").write_text(json.dumps(described), encoding="utf-8")
    (folder / "tokenizer" / "tokenizer_config.json").write_text('{"eos_token": "<|endoftext|>"}', encoding="utf-8")
    return ["--data", str(folder / "text.txt"), "--data.tokenizer", str(folder / "tokenizer")]


def images(shape: tuple[int, int, int, int], folder: Path, small: bool) -> list[str]:
    """Random images, in memory, in the place of the digits."""
    count = 200 if small else shape[0]
    pixels = np.random.default_rng(0).integers(0, 256, (count, *shape[1:]), dtype=np.uint8)
    found = (pixels, [str(row % 10) for row in range(count)])
    patch("datamodules.images.read_digits", lambda: found).start()  # for as long as this process lives
    return []


def sized(**sizes: object) -> list[str]:
    """Options of the model and the data: `model__x` is `--model.x`."""
    return [word for name, value in sizes.items() for word in (f"--{name.replace('__', '.')}", str(value))]


CASES = {
    "bert_classifier": Case(
        sized(model__hidden_size=768, model__num_layers=12, model__num_heads=12, data__max_length=128)
        + sized(data__batch_size=64),
        60,
        texts,
        sized(data__batch_size=8),
    ),
    "transformer": Case(
        sized(model__hidden_size=512, model__num_layers=6, model__num_heads=8, model__feedforward_size=2048)
        + sized(data__batch_size=128),
        60,
        pairs,
    ),
    "resnet": Case(
        [*sized(model__depth=50, data__batch_size=256), "--data.val_fraction", "0.02", "--data.test_fraction", "0.02"],
        40,
        partial(images, (5500, 3, 224, 224)),
    ),
    "llm": Case(  # GPT-2's 124 million weights, as nanoGPT's bench.py has them, but for the gate
        [
            *sized(model__hidden_size=768, model__num_layers=12, model__num_heads=12, data__window=1024),
            *sized(data__batch_size=16, compile__mode="default"),
            *("--model.optimizer", "torch.optim.AdamW", "--model.optimizer.lr", "0.0006"),
        ],
        60,
        long_text,
        sized(data__batch_size=2, data__window=64, model__hidden_size=32),
    ),
    "gat": Case(sized(data__batch_size=128), 128, motifs, sized(data__batch_size=16)),
    "cnn": Case(sized(data__batch_size=512), 100, partial(images, (60_000, 1, 28, 28)), sized(data__batch_size=8)),
    "mlp": Case(sized(data__batch_size=256), 150, rows, sized(data__batch_size=16)),
}


def speed_parts(device: list[str], small: bool) -> list[Part]:
    """A part for each network.

    Args:
        device: the options that say where to train, and in which precision.
        small: only some, of few and small steps.
    """
    names = [name for name in ("llm", "gat", "cnn", "mlp") if CASES[name].small] if small else list(CASES)
    return [Part("speed", name, [Stage(partial(timed, name, device, small))], alone=True) for name in names]


class Meter(Clock):
    """Besides the time of the steps: a step's arithmetic, the time in which the GPU waits, a bare step's time, memory.

    Args:
        first: steps done when the clock starts; those that are profiled come before it.
        last: steps done when it stops.
    """

    def __init__(self, first: int, last: int) -> None:
        super().__init__(max(first, WARM_UP + PROFILED), last)
        self.figures: Figures = {}
        self.profile: Any = None
        self.began = 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Count a step's arithmetic; begin to profile."""
        if self.done == 1:
            self.figures["flops"] = flops_of(pl_module, trainer, batch)
        if self.done == WARM_UP and batch_on_gpu(trainer):
            torch.cuda.synchronize()
            self.profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
            self.profile.start()
            self.began = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Count a step; say how long the GPU had nothing to do."""
        if self.done + 1 == self.first and self.profile is not None:
            torch.cuda.synchronize()
            wall = time.perf_counter() - self.began
            self.profile.stop()
            self.figures["gpu_idle"] = 1 - busy_seconds(self.profile.events()) / wall
            torch.cuda.reset_peak_memory_stats()
        super().on_train_batch_end(trainer, *args)
        if self.done == self.last:
            self.figures["peak"] = torch.cuda.max_memory_allocated() if batch_on_gpu(trainer) else 0
            self.figures["bare_ms"] = bare_ms(args[0], trainer, args[2])


def batch_on_gpu(trainer: Trainer) -> bool:
    """Whether the run computes on a GPU."""
    return bool(trainer.strategy.root_device.type == "cuda")


def flops_of(model: Any, trainer: Trainer, batch: Any) -> int:
    """Floating-point operations of a forward and a backward pass, its padding included."""
    with FlopCounterMode(display=False) as counter:
        with trainer.precision_plugin.forward_context():
            loss = model.step(batch).loss
        loss.backward()
    model.zero_grad()
    return int(counter.get_total_flops())


def busy_seconds(events: Any) -> float:
    """The time in which a GPU computes or copies, whatever it does at once counted once."""
    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in events
        if event.device_type.name == "CUDA" and not getattr(event, "is_user_annotation", False)
    )
    busy = end = 0.0
    for start, stop in spans:
        busy += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return busy / 1e6


def bare_ms(model: Any, trainer: Trainer, batch: Any) -> float:
    """Milliseconds of a step on a batch that is there, without loader, logs and Trainer."""
    learn = model.plain_step(trainer)
    for step in range(WARM_UP + BARE):
        if step == WARM_UP:
            synchronise(trainer)
            began = time.perf_counter()
        learn(batch)
    synchronise(trainer)
    return (time.perf_counter() - began) / BARE * 1e3


def synchronise(trainer: Trainer) -> None:
    """Wait for the GPU, if there is one."""
    if batch_on_gpu(trainer):
        torch.cuda.synchronize()


def timed(name: str, device: list[str], small: bool, folder: Path, found: Figures) -> Figures:
    """Train a network of its usual size, and measure."""
    torch.set_num_threads(len_of_cores())
    case = CASES[name]
    words = ["--model", name, *device, *case.write(folder, small), *((case.small or []) if small else case.words)]
    benchmark.STEPS = 30 if small else case.steps
    meters: list[Meter] = []

    def meter(first: int, last: int) -> Meter:
        meters.append(Meter(first, last))
        return meters[-1]

    report = folder / "report.json"
    with patch("scripts.cli.measure.benchmark.Clock", meter):
        measure(resolve(words), report)
    figures = json.loads(report.read_text())
    step = figures["batch_size"] / figures["examples_per_second"]
    measured = meters[0].figures
    return {
        "examples_per_second": figures["examples_per_second"],
        "batch_size": figures["batch_size"],
        "ms": step * 1e3,
        "tflops": measured["flops"] / step / 1e12,
        **measured,
    }


def len_of_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def probe(cpu: bool, folder: Path, found: Figures) -> Figures:
    """What the machine is: its GPUs, and what they multiply in a second."""
    figures: Figures = {"torch": torch.__version__, "gpus": 0, "device": "cpu", "published_tflops": None}
    if cpu or not torch.cuda.is_available():
        return figures
    matrix = torch.randn(MATRIX, MATRIX, dtype=torch.bfloat16, device="cuda")
    for _ in range(3):
        matrix @ matrix
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(BARE):
        matrix @ matrix
    torch.cuda.synchronize()
    seconds = (time.perf_counter() - began) / BARE
    name = torch.cuda.get_device_name()
    return figures | {
        "gpus": torch.cuda.device_count(),
        "device": name,
        "published_tflops": next((peak for key, peak in PEAKS.items() if key in name), None),
        "measured_tflops": 2 * MATRIX**3 / seconds / 1e12,
        "memory": torch.cuda.get_device_properties(0).total_memory,
    }
