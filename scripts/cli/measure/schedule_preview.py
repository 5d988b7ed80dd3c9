"""A run's learning rates, before it starts."""

import itertools
import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.figure import Figure

from lightning_modules.optim.schedules import Plateau
from lightning_modules.tasks.task import Task
from scripts.cli.command_line.recipes import Request
from scripts.cli.errors import UsageError, user_errors
from scripts.cli.plots import png_path, save_png
from scripts.cli.run.experiment import Experiment
from scripts.cli.text_table import aligned

POINTS = 2000  # of a curve
LINES = 12  # of the table


class Schedule(NamedTuple):
    """The learning rates of a run.

    Args:
        total: optimizer steps in the run.
        per_epoch: optimizer steps in an epoch.
        rates: of each optimizer, or of each of its parameter groups, as a function of the step, from 0.
        note: on what depends on the run.
    """

    total: int
    per_epoch: int
    rates: dict[str, Callable[[int], float]]
    note: str


class OptimizersReady(Exception):  # noqa: N818 (no error)
    """The trainer has set up the optimizers and their schedules."""


class Preview(Callback):
    """Ends a run where its first step would begin."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End it."""
        raise OptimizersReady


def schedule_of(request: Request) -> Schedule:
    """The schedule that a run of the request would have: its optimizers are created as the run creates them.

    Raises:
        ValueError: the request cannot be met, or the run has no set length.
    """
    experiment = Experiment(request)
    config = experiment.options
    config.trainer.accelerator, config.trainer.precision, config.trainer.strategy = "cpu", "32", "auto"
    config.trainer.devices = config.trainer.num_nodes = 1  # a batch is sharded, so more take as many steps
    config.trainer.enable_progress_bar = False
    run = experiment.build()
    trainer = experiment.new_trainer()
    trainer.callbacks.insert(0, Preview())  # type: ignore[attr-defined]
    with suppress(OptimizersReady):
        trainer.fit(run.model, run.data)
    total = trainer.estimated_stepping_batches
    if not math.isfinite(total):
        raise UsageError("--trainer.max_time does not say how many steps the run has; give --trainer.max_epochs, too")
    per_epoch = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
    rates = merge_equal(rates_of(trainer), int(total))
    plateau = any(isinstance(config.scheduler, Plateau) for config in trainer.lr_scheduler_configs)
    return Schedule(int(total), per_epoch, rates, note_of(run.model) if plateau else "")


def note_of(model: LightningModule) -> str:
    """How a plateau may change the rates that are drawn."""
    assert isinstance(model, Task)
    return (
        f"the rest depends on the run: the rate is multiplied by {model.plateau_factor} "
        f"whenever {model.monitor} was not better for {model.plateau_patience} validations"
    )


def rates_of(trainer: Trainer) -> dict[str, Callable[[int], float]]:
    """Each group's rate as a function of the step."""
    schedules = {id(config.scheduler.optimizer): config.scheduler for config in trainer.lr_scheduler_configs}
    groups = [(optimizer, index) for optimizer in trainer.optimizers for index in range(len(optimizer.param_groups))]
    rates: dict[str, Callable[[int], float]] = {}
    for label, (optimizer, index) in enumerate(groups, start=1):
        group = optimizer.param_groups[index]
        name = f"lr {label} {group.get('name', '')}".strip()
        schedule = schedules.get(id(optimizer))
        rates[name] = partial(_scheduled, schedule, index) if schedule else partial(_constant, group["lr"])
    return rates


def merge_equal(rates: dict[str, Callable[[int], float]], total: int) -> dict[str, Callable[[int], float]]:
    """Groups with the same rate at every step as one, under all their names; "lr" if it is one for all."""
    names: dict[tuple[float, ...], list[str]] = {}
    for name, rate in rates.items():
        names.setdefault(tuple(map(rate, evenly_spaced(total, POINTS))), []).append(name)
    return {"lr" if len(names) == 1 else ", ".join(same): rates[same[0]] for same in names.values()}


def _scheduled(schedule: object, index: int, step: int) -> float:
    return schedule.base_lrs[index] * schedule.lr_lambdas[index](step)  # type: ignore[attr-defined]


def _constant(rate: float, step: int) -> float:
    return rate


def evenly_spaced(total: int, count: int) -> list[int]:
    """Steps from the first to the last, at most so many."""
    return np.linspace(0, total - 1, min(total, count)).round().astype(int).tolist()


def table(schedule: Schedule) -> str:
    """Some steps, counted from 1, with their epochs and rates."""
    rows = [["step", "epoch", *schedule.rates]]
    for step in evenly_spaced(schedule.total, LINES):
        rates = [f"{rate(step):.4g}" for rate in schedule.rates.values()]
        rows.append([str(step + 1), str(step // schedule.per_epoch + 1), *rates])
    return aligned(rows)


def plot(schedule: Schedule, title: str) -> Figure:
    """The rates over the steps."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    steps = evenly_spaced(schedule.total, POINTS)
    for (name, rate), style in zip(schedule.rates.items(), itertools.cycle(("-", "--", "-.", ":")), strict=False):
        axes.plot([step + 1 for step in steps], [rate(step) for step in steps], style, label=name)
    axes.set(xlabel="step", ylabel="learning rate", title=title)
    if len(schedule.rates) > 1:
        axes.legend()
    return figure


def draw(request: Request, output: str | None) -> None:
    """Show a run's learning rates as a table on the screen and as a plot in a file.

    Args:
        request: what to train.
        output: a PNG file; NAME_schedule.png by default.

    Raises:
        UserError: the request cannot be met, or the plot cannot be written.
    """
    output = output or f"{request.name}_schedule.png"
    with user_errors():
        path = png_path(output)
        schedule = schedule_of(request)
        title = f"{request.name}: {schedule.total:,} steps, {schedule.per_epoch:,} an epoch"
        save_png(plot(schedule, title), path)
        print(f"{title}\n\n{table(schedule)}\n" + (f"\n{schedule.note}" if schedule.note else ""))
        print(f"plot: {output}")
