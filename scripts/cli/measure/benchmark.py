"""The overhead of the Trainer, with all logging and checkpointing, over a plain loop of the same network."""

import copy
import statistics
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.run.processes import all_reduce_max
from callbacks.run.reference import refer_to_all
from callbacks.run.run_folder import RunFolder
from callbacks.run.signals import Stopped
from callbacks.run.throughput import Throughput
from datamodules.base import DataModule
from lightning_modules.tasks.preference import Preference
from scripts.cli import STARTED
from scripts.cli.command_line.recipes import Request
from scripts.cli.command_line.techniques import techniques
from scripts.cli.distributed.launch import broadcast_from_rank_zero, wait_for_others
from scripts.cli.errors import user_errors
from scripts.cli.run.experiment import Experiment
from scripts.cli.run.files import write_json
from scripts.cli.run.memory import held
from scripts.cli.text_table import aligned, megabytes

ROUNDS = 3
STEPS = 200  # training steps in a round, in complete epochs or a part of one


def benchmark(request: Request) -> None:
    """Time both in turn on the same batches, and print a comparison.

    Args:
        request: what to train.
    """
    run = built(request)
    config = run.options
    steps = shorten(config, run.data)
    epochs = config.trainer.max_epochs
    config.trainer.limit_val_batches = min(len(run.data.val_dataloader()), STEPS // 5)

    plain_seconds, trainer_seconds = [], []
    for index in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            trainer, model = new_trainer(run, Path(folder))
            if index == 0:
                first = time.perf_counter()
                plain_loop(copy.deepcopy(run.model), run.data, trainer, epochs=1, max_steps=2)  # a first step warms up
                start_up = first - STARTED
            plain_seconds.append(plain_loop(copy.deepcopy(run.model), run.data, trainer, epochs, STEPS))
            fit(run, trainer, model)
        throughput = next(c for c in trainer.callbacks if isinstance(c, Throughput))  # type: ignore[attr-defined]
        trainer_seconds.append(throughput.train_seconds)
    examples = throughput.examples
    plain, ours = statistics.median(plain_seconds), statistics.median(trainer_seconds)
    ratios = [b / a for a, b in zip(plain_seconds, trainer_seconds, strict=True)]
    device = trainer.strategy.root_device
    print(
        f"{request.name} on {run.data.dataset}, {device}, precision {trainer.precision}, "
        f"{torch.get_num_threads()} threads"
    )
    print(f"{ROUNDS} rounds of {steps} steps in {epochs} epochs, validation included; medians\n")
    rows = [
        ["", "plain loop", "Trainer", "ratio"],
        ["ms a step", f"{plain / steps * 1e3:.2f}", f"{ours / steps * 1e3:.2f}", f"{statistics.median(ratios):.3f}"],
        ["examples a second", f"{examples / plain:,.0f}", f"{examples / ours:,.0f}", ""],
    ]
    print(f"{aligned(rows, left=1)}\n\nstart-up {start_up:.1f} s, peak memory {megabytes(*held(device))}")


def built(request: Request) -> Experiment:
    """An experiment with data and a fresh model, of which every step costs the same."""
    run = Experiment(request).build()
    model: Any = run.model
    model.skip_preparation()
    return run


def fit(run: Experiment, trainer: Trainer, model: LightningModule) -> None:
    """Train without a test.

    Raises:
        SystemExit: a signal has ended it, with 128 and the signal's number.
    """
    try:
        trainer.fit(model, run.data)
    except Stopped as stopped:
        raise SystemExit(stopped.status) from None
    finally:
        run.close()


def shorten(config: Namespace, data: DataModule, steps: int | None = None) -> int:
    """Let a run take about so many steps, in complete epochs or a part of one; return the number of steps."""
    steps = steps or STEPS
    per_epoch = min(len(data.train_dataloader()), steps)
    epochs = max(1, steps // per_epoch)
    config.trainer.min_epochs = config.trainer.max_epochs = epochs  # no early stopping, either
    config.trainer.max_steps = -1
    config.trainer.limit_train_batches = per_epoch
    config.trainer.num_sanity_val_steps = 0
    return epochs * per_epoch


class Clock(Callback):
    """The times at which two steps end.

    Args:
        first: steps done at the first: in those before, libraries and connections are set up.
        last: steps done at the second.
    """

    def __init__(self, first: int, last: int) -> None:
        self.first = first
        self.last = last
        self.done = 0
        self.began = 0.0  # when the first step was done
        self.times: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Count a step."""
        self.done += 1
        self.began = self.began or time.perf_counter()
        if self.done in (self.first, self.last):
            if trainer.strategy.root_device.type == "cuda":
                torch.cuda.synchronize()
            self.times.append(time.perf_counter())


def measure(request: Request, report: Path) -> None:
    """Train, without validation, on the devices that the options name, and write what it took as JSON.

    Args:
        request: what to train.
        report: the file; the run's own files go into its folder.
    """
    run, folder = built(request), RunFolder()
    config = run.options
    with user_errors():
        steps = shorten(config, run.data)
        config.trainer.limit_val_batches, config.trainer.enable_progress_bar = 0, False
        trainer = run.new_trainer(folder)
        run.data.check_processes(trainer.world_size)
        broadcast_from_rank_zero(trainer, lambda: None)  # starts the other processes
    folder.settle(run_folder(report.parent, request.name))
    clock = Clock(steps // 10 or 1, steps)
    trainer.callbacks[:0] = [clock]  # type: ignore[attr-defined]
    fit(run, trainer, run.model)
    device = trainer.strategy.root_device
    memory, gpu_memory = all_reduce_max(trainer, *held(device))
    size = run.data.size_of("train")
    batch_size = min(run.data.batch_size or size, size)
    figures = {
        "model": request.name,
        "data": run.data.dataset,
        "device": device.type,
        "precision": str(trainer.precision),
        "processes": trainer.world_size,
        "threads": torch.get_num_threads(),
        "batch_size": batch_size,
        "warm_up": clock.first,
        "steps": steps - clock.first,
        "examples_per_second": batch_size * (steps - clock.first) / (clock.times[1] - clock.times[0]),
        "first_step": clock.began - STARTED,
        "memory": memory,
        "gpu_memory": gpu_memory,
    }
    if trainer.is_global_zero:
        write_json(report, figures)
    wait_for_others(trainer)


def run_folder(folder: Path, name: str) -> Path:
    """Create the folder of a run that is timed, within another."""
    run = folder / name / "version_0"
    (run / "checkpoints").mkdir(parents=True, exist_ok=True)
    return run


def new_trainer(run: Experiment, folder: Path) -> tuple[Trainer, LightningModule]:
    """A trainer with everything that `fit.py` has but the progress bar, and a copy of the fresh model."""
    run.options.trainer.enable_progress_bar = False
    run.techniques = techniques(run.parser.instantiate(run.options))
    return run.new_trainer(RunFolder(run_folder(folder, run.name))), copy.deepcopy(run.model)


def plain_loop(model: Any, data: DataModule, trainer: Trainer, epochs: int, max_steps: int) -> float:
    """Train and validate as a plain script would: the same metrics, no logs, no checkpoints.

    Returns:
        Seconds taken.
    """
    device = trainer.strategy.root_device
    model.to(device)
    data.trainer = None
    train, val = data.train_dataloader(), data.val_dataloader()

    def prepared(batch: Any) -> Any:
        batch = data.transfer_batch_to_device(batch, device, 0)
        return data.on_after_batch_transfer(batch, 0)

    learn, precision = model.plain_step(trainer), trainer.precision_plugin.forward_context
    if isinstance(model, Preference):
        with precision():
            refer_to_all(model, data, lambda batch: data.transfer_batch_to_device(batch, device, 0))
    began = time.perf_counter()
    for _ in range(epochs):
        model.train()
        for batch in islice(train, max_steps):
            learn(prepared(batch))
        model.eval()
        with torch.no_grad(), precision():
            for batch in islice(val, max(max_steps // 5, 1)):
                model.validation_step(prepared(batch), 0)
            [float(value) for value in (model.mean_loss.compute(), *model.val_metrics.compute().values())]
            model.mean_loss.reset()
            model.val_metrics.reset()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began
