"""The learning-rate range test: Smith 2017, https://arxiv.org/abs/1506.01186."""

import math
from pathlib import Path
from typing import Any, NamedTuple

from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.figure import Figure

from scripts.cli.command_line.recipes import Request
from scripts.cli.distributed.launch import wait_for_others
from scripts.cli.errors import UsageError, user_errors
from scripts.cli.plots import png_path, save_png
from scripts.cli.run.experiment import Experiment
from scripts.cli.spreadsheet import write_csv

SMOOTHING = 0.9  # decay of the loss's exponential moving average
DIVERGED = 4.0  # times the minimum of the smoothed loss; as in fastai
MARGIN = 10.0  # the suggestion is so many times below the rate with the minimum loss; as in fastai


class Range(NamedTuple):
    """The learning rates to try.

    Args:
        steps: number of steps.
        lowest: rate of the first step.
        highest: rate of the last step.
        output: a PNG file.
    """

    steps: int
    lowest: float
    highest: float
    output: Path


def read_range(options: dict[str, str], name: str) -> Range:
    """The learning rates that the command line requests.

    Args:
        options: those of the command line that are given.
        name: of the model.

    Raises:
        UsageError: an option is out of its range.
    """

    def positive(option: str, default: str) -> float:
        text = options.get(option, default)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 < value < math.inf:
            raise UsageError(f"--{option} {text}: expected a positive number")
        return value

    steps, lowest, highest = positive("steps", "100"), positive("lowest", "1e-7"), positive("highest", "10")
    if steps < 10 or steps % 1:
        raise UsageError(f"--steps {options['steps']}: expected a whole number, at least 10")
    if lowest >= highest:
        raise UsageError(f"--lowest {lowest:g} and --highest {highest:g} contradict each other")
    return Range(int(steps), lowest, highest, png_path(options.get("output", f"{name}_rate.png")))


class RangeTest(Callback):
    """Raises the rates exponentially from step to step, and ends the run when the loss diverges.

    Several parameter groups keep the ratios of their rates; the rate is that of the optimizer's own option.

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
        """Record the ratios of the groups' rates."""
        (optimizer,) = trainer.optimizers
        self.ratios = [group["lr"] / optimizer.defaults["lr"] for group in optimizer.param_groups]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Set the step's rates."""
        steps, lowest, highest, _ = self.range
        rate = lowest * (highest / lowest) ** (trainer.global_step / (steps - 1))
        if len(self.rates) == trainer.global_step:
            self.rates.append(rate)
        for group, ratio in zip(trainer.optimizers[0].param_groups, self.ratios, strict=True):
            group["lr"] = rate * ratio

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record the step's loss."""
        self._sum += float(outputs["loss"])
        if trainer.global_step < len(self.rates):  # gradients are being accumulated
            return
        loss, self._sum = self._sum, 0.0
        self._mean = SMOOTHING * self._mean + (1 - SMOOTHING) * loss
        self.losses.append(loss)
        self.smoothed.append(self._mean / (1 - SMOOTHING ** len(self.losses)))
        minimum = min(self.smoothed)
        if not self.smoothed[-1] <= minimum + (DIVERGED - 1) * abs(minimum):
            self.diverged = trainer.should_stop = True

    @property
    def suggestion(self) -> float | None:
        """A rate to train with: a tenth of the one at which the smoothed loss was minimal; None if it never fell."""
        finite = [loss if math.isfinite(loss) else math.inf for loss in self.smoothed]
        index = finite.index(min(finite))
        return self.rates[index] / MARGIN if index else None


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


def plot(test: RangeTest, title: str) -> Figure:
    """The loss over the learning rate, and the suggestion."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    rates = test.rates[: len(test.losses)]
    axes.plot(rates, test.losses, color="0.8", label="loss")
    axes.plot(rates, test.smoothed, label="smoothed")
    if test.suggestion:
        axes.axvline(test.suggestion, linestyle="--", color="tab:red", label=f"suggestion {test.suggestion:.2g}")
    first, minimum = test.smoothed[0], min(test.smoothed)
    fall = first - minimum
    if 0 < fall < math.inf:
        axes.set_ylim(minimum - 0.1 * fall, first + 0.5 * fall)  # a divergence would hide the rest
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss", title=title)
    axes.legend()
    return figure


def write(test: RangeTest, output: Path, title: str) -> None:
    """Write the plot, and its figures as CSV."""
    steps = zip(test.rates, test.losses, test.smoothed, strict=False)  # the last rate may have no loss
    rows = [
        {"step": index, "rate": rate, "loss": loss, "smoothed": smoothed}
        for index, (rate, loss, smoothed) in enumerate(steps, start=1)
    ]
    write_csv(output.with_suffix(".csv"), rows)
    save_png(plot(test, title), output)


def summary(test: RangeTest) -> str:
    """The result in two lines."""
    end = f"the loss diverged at a rate of {test.rates[-1]:.2g}" if test.diverged else "the loss did not diverge"
    lines = [f"{len(test.losses)} steps, rates from {test.rates[0]:.2g} to {test.rates[-1]:.2g}; {end}"]
    if test.suggestion is None:
        lines.append("no rate lowered the loss: try --lowest, or look at the data")
    else:
        lines.append(
            f"suggestion: --model.optimizer.lr {test.suggestion:.2g}, "
            f"a tenth of the rate at which the smoothed loss was minimal"
        )
    return "\n".join(lines)


def find_rate(request: Request, **options: str | None) -> RangeTest:
    """Run the test, print its suggestion, and write its curves.

    Args:
        request: what to train.
        options: of `read_range`, as texts; None where they are not given.

    Raises:
        UserError: an option is wrong, or the request cannot be met.
    """
    range = read_range({name: text for name, text in options.items() if text is not None}, request.name)
    run, trainer = prepare(request, range)
    test = RangeTest(range)
    trainer.callbacks.append(test)  # type: ignore[attr-defined]
    trainer.fit(run.model, run.data)
    if trainer.is_global_zero:
        with user_errors((OSError,)):
            write(test, range.output, f"{request.name} on {run.data.dataset}")
        print(f"{summary(test)}\nplot: {range.output}, figures: {range.output.with_suffix('.csv')}")
    wait_for_others(trainer)
    return test
