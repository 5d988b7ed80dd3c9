"""The learning-rate range test: Smith 2017, https://arxiv.org/abs/1506.01186."""

import csv
import io
import math
from pathlib import Path
from typing import Any, NamedTuple

from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.figure import Figure

from datamodules.files.paths import user_path
from datamodules.storage.atomic_file import whole_file
from scripts.cli.command_line.recipes import Request
from scripts.cli.distributed.launch import wait_for_others
from scripts.cli.errors import UsageError, user_errors
from scripts.cli.run.experiment import Experiment

SMOOTHING = 0.9  # of the loss: the share that stays in a step
DIVERGED = 4.0  # times the least smoothed loss; as in fastai
STEEP = 10.0  # the suggestion is so many times below the rate with the least loss; as in fastai


class Range(NamedTuple):
    """The rates to try.

    Args:
        steps: to take.
        lowest: rate, at the first.
        highest: rate, at the last.
        output: a PNG file.
    """

    steps: int
    lowest: float
    highest: float
    output: Path


def asked_range(asked: dict[str, str], name: str) -> Range:
    """The rates that the command line asks for.

    Args:
        asked: its options, as far as they are given.
        name: of the model.

    Raises:
        UsageError: an option is out of its range.
    """

    def number(option: str, default: str) -> float:
        text = asked.get(option, default)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 < value < math.inf:
            raise UsageError(f"--{option} {text}: expected a positive number")
        return value

    steps, lowest, highest = number("steps", "100"), number("lowest", "1e-7"), number("highest", "10")
    output = user_path(asked.get("output", f"{name}_rate.png"), "--output")
    if steps < 10 or steps % 1:
        raise UsageError(f"--steps {asked['steps']}: expected a whole number, at least 10")
    if lowest >= highest:
        raise UsageError(f"--lowest {lowest:g} and --highest {highest:g} contradict each other")
    if output.suffix != ".png":
        raise UsageError(f"--output {output}: expected a name that ends in .png")
    return Range(int(steps), lowest, highest, output)


class RangeTest(Callback):
    """Raises the rates exponentially from step to step, and ends the run when the loss diverges.

    Several groups of weights keep the proportions of their rates; the rate is that of the optimizer's own option.

    Args:
        range: the rates to try.
    """

    def __init__(self, range: Range) -> None:
        self.range = range
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.smoothed: list[float] = []
        self.diverged = False
        self._mean = 0.0
        self._sum = 0.0  # over the batches whose gradients are accumulated

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take note of the groups' proportions."""
        (optimizer,) = trainer.optimizers
        self.shares = [group["lr"] / optimizer.defaults["lr"] for group in optimizer.param_groups]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Set the step's rates."""
        steps, lowest, highest, _ = self.range
        rate = lowest * (highest / lowest) ** (trainer.global_step / (steps - 1))
        if len(self.rates) == trainer.global_step:
            self.rates.append(rate)
        for group, share in zip(trainer.optimizers[0].param_groups, self.shares, strict=True):
            group["lr"] = rate * share

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take note of the step's loss."""
        self._sum += float(outputs["loss"])
        if trainer.global_step < len(self.rates):  # gradients are being accumulated
            return
        loss, self._sum = self._sum, 0.0
        self._mean = SMOOTHING * self._mean + (1 - SMOOTHING) * loss
        self.losses.append(loss)
        self.smoothed.append(self._mean / (1 - SMOOTHING ** len(self.losses)))
        least = min(self.smoothed)
        if not self.smoothed[-1] <= least + (DIVERGED - 1) * abs(least):
            self.diverged = trainer.should_stop = True

    @property
    def suggestion(self) -> float | None:
        """A rate to train with: a tenth of the one at which the smoothed loss was least; None if it never fell."""
        finite = [loss if math.isfinite(loss) else math.inf for loss in self.smoothed]
        place = finite.index(min(finite))
        return self.rates[place] / STEEP if place else None


def prepare(request: Request, range: Range) -> tuple[Experiment, Trainer]:
    """An experiment with a fresh model, and a trainer that takes the range's steps and saves and logs nothing.

    Raises:
        ValueError: the request cannot be met, or the test makes no sense for the model.
    """
    experiment = Experiment(request)
    config = experiment.options
    config.model.schedule, config.model.warmup = "constant", 0.0
    config.early_stopping.patience = config.averaging.kind = None
    options = {"max_steps": range.steps, "max_epochs": None, "max_time": None, "min_epochs": None, "min_steps": None}
    for name, value in (options | {"limit_val_batches": 0, "num_sanity_val_steps": 0}).items():
        config.trainer[name] = value
    experiment.build()
    if not experiment.model.automatic_optimization:
        raise UsageError(
            f"--model {request.name}: two networks play against each other, and a loss that falls means no progress; "
            f"the rates to try are those of its paper"
        )
    return experiment, experiment.new_trainer()


def picture(test: RangeTest, title: str) -> Figure:
    """The loss over the rate, and the suggestion."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    tried = test.rates[: len(test.losses)]
    axes.plot(tried, test.losses, color="0.8", label="loss")
    axes.plot(tried, test.smoothed, label="smoothed")
    if test.suggestion:
        axes.axvline(test.suggestion, linestyle="--", color="tab:red", label=f"suggestion {test.suggestion:.2g}")
    first, least = test.smoothed[0], min(test.smoothed)
    fall = first - least
    if 0 < fall < math.inf:
        axes.set_ylim(least - 0.1 * fall, first + 0.5 * fall)  # a divergence would be too high to see the rest
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss", title=title)
    axes.legend()
    return figure


def write(test: RangeTest, output: Path, title: str) -> None:
    """Write the picture, and its figures as CSV beside it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "rate", "loss", "smoothed"])
    writer.writerows(zip(range(1, len(test.losses) + 1), test.rates, test.losses, test.smoothed, strict=False))
    with whole_file(output.with_suffix(".csv")) as file:
        file.write(text.getvalue().encode())
    with whole_file(output) as file:
        picture(test, title).savefig(file, format="png")


def told(test: RangeTest) -> str:
    """What came of it, in a line or two."""
    ended = f"the loss diverged at a rate of {test.rates[-1]:.2g}" if test.diverged else "the loss did not diverge"
    lines = [f"{len(test.losses)} steps, rates from {test.rates[0]:.2g} to {test.rates[-1]:.2g}; {ended}"]
    if test.suggestion is None:
        lines.append("no rate lowered the loss: try --lowest, or look at the data")
    else:
        lines.append(
            f"suggestion: --model.optimizer.lr {test.suggestion:.2g}, "
            f"a tenth of the rate at which the smoothed loss was least"
        )
    return "\n".join(lines)


def find_rate(request: Request, **options: str | None) -> RangeTest:
    """Run the test, print its suggestion, and write its curves.

    Args:
        request: what to train.
        options: of `asked_range`, as texts; None where they are not given.

    Raises:
        UserError: an option is wrong, or the request cannot be met.
    """
    range = asked_range({name: text for name, text in options.items() if text is not None}, request.name)
    run, trainer = prepare(request, range)
    test = RangeTest(range)
    trainer.callbacks.append(test)  # type: ignore[attr-defined]
    trainer.fit(run.model, run.data)
    if trainer.is_global_zero:
        with user_errors((OSError,)):
            write(test, range.output, f"{request.name} on {run.data.dataset}")
        print(f"{told(test)}\npicture: {range.output}, figures: {range.output.with_suffix('.csv')}")
    wait_for_others(trainer)
    return test
