"""A run's learning rates before it is begun."""

import itertools
import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.figure import Figure

from datamodules.files.paths import user_path
from lightning_modules.optim.schedules import Plateau
from lightning_modules.tasks.task import Task
from scripts.cli.command_line.recipes import Request
from scripts.cli.errors import UsageError, user_errors
from scripts.cli.run.experiment import Experiment

POINTS = 2000  # of a curve, and lines of the table
LINES = 12


class Schedule(NamedTuple):
    """The learning rates of a run.

    Args:
        total: optimizer steps in the run.
        per_epoch: optimizer steps in an epoch.
        rates: of each optimizer, or of each of its groups of weights, as a function of the step, from 0.
        note: of what is not known before the run.
    """

    total: int
    per_epoch: int
    rates: dict[str, Callable[[int], float]]
    note: str


class Known(Exception):  # noqa: N818 (what was to be found out is no error)
    """The trainer has set up the optimizers and their schedules."""


class Preview(Callback):
    """Ends a run where its first step would begin."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End it."""
        raise Known


def schedule_of(request: Request) -> Schedule:
    """The schedule that a run of the request would have: its optimizers are made as the run makes them.

    Raises:
        ValueError: the request cannot be met, or the run has no set length.
    """
    experiment = Experiment(request)
    config = experiment.options
    config.trainer.accelerator, config.trainer.precision, config.trainer.strategy = "cpu", "32", "auto"
    config.trainer.devices = config.trainer.num_nodes = 1  # a batch is shared, so there are as many steps with more
    config.trainer.enable_progress_bar = False
    run = experiment.build()
    trainer = experiment.new_trainer()
    trainer.callbacks.insert(0, Preview())  # type: ignore[attr-defined]
    with suppress(Known):
        trainer.fit(run.model, run.data)
    total = trainer.estimated_stepping_batches
    if not math.isfinite(total):
        raise UsageError("--trainer.max_time does not say how many steps the run has; give --trainer.max_epochs, too")
    per_epoch = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
    rates = alike(rates_of(trainer), int(total))
    plateau = any(isinstance(config.scheduler, Plateau) for config in trainer.lr_scheduler_configs)
    return Schedule(int(total), per_epoch, rates, note_of(run.model) if plateau else "")


def note_of(model: LightningModule) -> str:
    """What a plateau may change of what is drawn."""
    assert isinstance(model, Task)
    return (
        f"the rest depends on the run: the rate is multiplied by {model.plateau_factor} "
        f"whenever {model.monitor} was not better for {model.plateau_patience} validations"
    )


def rates_of(trainer: Trainer) -> dict[str, Callable[[int], float]]:
    """Each group's rate as a function of the step."""
    schedules = {id(config.scheduler.optimizer): config.scheduler for config in trainer.lr_scheduler_configs}
    groups = [(optimizer, place) for optimizer in trainer.optimizers for place in range(len(optimizer.param_groups))]
    found: dict[str, Callable[[int], float]] = {}
    for number, (optimizer, place) in enumerate(groups, start=1):
        group = optimizer.param_groups[place]
        name = f"lr {number} {group.get('name', '')}".strip()
        schedule = schedules.get(id(optimizer))
        found[name] = partial(_scheduled, schedule, place) if schedule else partial(_constant, group["lr"])
    return found


def alike(rates: dict[str, Callable[[int], float]], total: int) -> dict[str, Callable[[int], float]]:
    """Groups with the same rate at every step as one, under all their names; "lr" if it is one for all."""
    names: dict[tuple[float, ...], list[str]] = {}
    for name, rate in rates.items():
        names.setdefault(tuple(map(rate, spread(total, POINTS))), []).append(name)
    return {"lr" if len(names) == 1 else ", ".join(same): rates[same[0]] for same in names.values()}


def _scheduled(schedule: object, place: int, step: int) -> float:
    return schedule.base_lrs[place] * schedule.lr_lambdas[place](step)  # type: ignore[attr-defined]


def _constant(rate: float, step: int) -> float:
    return rate


def spread(total: int, most: int) -> list[int]:
    """As many steps as wanted, the first and the last among them."""
    if total <= most:
        return list(range(total))
    return [round(number * (total - 1) / (most - 1)) for number in range(most)]


def table(schedule: Schedule) -> str:
    """Some steps, counted from 1, with their epochs and rates."""
    lines = [f"{'step':>9}  {'epoch':>6}" + "".join(f"  {name:>10}" for name in schedule.rates)]
    widths = [max(len(name), 10) for name in schedule.rates]
    for step in spread(schedule.total, LINES):
        rates = "".join(
            f"  {rate(step):>{width}.4g}" for rate, width in zip(schedule.rates.values(), widths, strict=True)
        )
        lines.append(f"{step + 1:>9}  {step // schedule.per_epoch + 1:>6}{rates}")
    return "\n".join(lines)


def picture(schedule: Schedule, title: str) -> Figure:
    """The curves."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    steps = spread(schedule.total, POINTS)
    for (name, rate), style in zip(schedule.rates.items(), itertools.cycle(("-", "--", "-.", ":")), strict=False):
        axes.plot([step + 1 for step in steps], [rate(step) for step in steps], style, label=name)
    axes.set(xlabel="step", ylabel="learning rate", title=title)
    if len(schedule.rates) > 1:
        axes.legend()
    return figure


def draw(request: Request, output: str | None) -> None:
    """Show a run's learning rates as a table on the screen and as a picture in a file.

    Args:
        request: what to train.
        output: a PNG file; NAME_schedule.png by default.

    Raises:
        UserError: the request cannot be met, or the picture cannot be written.
    """
    output = output or f"{request.name}_schedule.png"
    with user_errors():
        if not output.endswith(".png"):
            raise UsageError(f"--output {output}: expected a name that ends in .png")
        schedule = schedule_of(request)
        title = f"{request.name}: {schedule.total:,} steps, {schedule.per_epoch:,} an epoch"
        picture(schedule, title).savefig(user_path(output, "--output"))
        print(f"{title}\n\n{table(schedule)}\n" + (f"\n{schedule.note}" if schedule.note else ""))
        print(f"picture: {output}")
