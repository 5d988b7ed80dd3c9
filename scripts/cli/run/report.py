"""What a run prints: its heading, its tables and its summary."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from callbacks.loggers.tensorboard import TensorBoardLogger
from callbacks.loggers.training_monitor import compute
from callbacks.run.throughput import Throughput
from datamodules.base import DataModule
from datamodules.checking.text_table import rounded, shortened, table_lines, wrapped
from datamodules.files.paths import printable, relative
from lightning_modules.tasks.task import Task
from scripts.cli.command_line.recipes import Config
from scripts.cli.run.baselines import facts_of, lines_of, table
from scripts.cli.shell import quoted

SPLIT_VERBS = {"train": "train on an epoch", "val": "validate on", "test": "test on"}
LEAST_WIDTH = 40  # columns of a terminal
PROFILE = "profile"  # in the names of what a profiler writes
PROFILE_LINES, PROFILE_WIDTH = 30, 120
REPORT = "report.html"  # in a run's folder
CLASS_WIDTH = 22  # columns, so that a table has at most 60
ONE_LIMIT = ("fast_dev_run", "overfit_batches")  # options that leave something out of each split
FEW = 10  # classes, that their table leaves the rest of the report in sight


def heading(
    name: str,
    model: LightningModule,
    data: DataModule,
    trainer: Trainer,
    folder: Path,
    resumed: Path | None,
    pretrained: str,
) -> str:
    """What is about to run: model, data, size, device, folder, and what it is resumed from or starts from."""
    parameters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    device = trainer.strategy.root_device.type
    devices = f"{trainer.world_size} × {device}" if trainer.world_size > 1 else device
    start = f", resumed from {resumed.name}" if resumed else f"\n{pretrained}" if pretrained else ""
    return (
        f"{name} on {printable(data.dataset)}: {parameters:,} parameters, "
        f"{' / '.join(str(len(split)) for split in data.splits)} examples to train / validate / test on, "
        f"{devices}, precision {trainer.precision}, {shown(folder)}{start}"
    )


def on_screen(text: str) -> str:
    """A text to be read, whose lines are broken between words where the screen is a terminal and ends."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    return wrapped(text, width) if width >= LEAST_WIDTH else text


def checked(data: DataModule) -> str:
    """What is understood of data that is set up, and what in it may be wrong."""
    found = [f"- {printable(suspicion)}" for suspicion in data.suspicions()]
    verdict = "what may be wrong:" if found else "nothing in it seems to be wrong"
    return "\n".join([data.summary().text(complete=True), "", verdict, *found])


def shown(path: Path) -> str:
    """The path as seen from here, if that is shorter, as it can be shown."""
    return printable(relative(path))


def class_table(per_class: dict[str, dict[str, float]]) -> str:
    """A line for each class: its scores and number of examples."""
    header = ["", "precision", "recall", "f1", "examples"]
    rows = [
        [shortened(name, CLASS_WIDTH), *(rounded(value) for value in scores.values())]
        for name, scores in per_class.items()
    ]
    return "\n".join(table_lines([header, *rows]))


def tables(test: dict[str, float], baseline: dict[str, float], further: dict[str, Any], remarks: Sequence[str]) -> str:
    """The metrics beside the baselines' and remarks on these, and where there are few classes each one's scores.

    Args:
        test: the test's metrics.
        baseline: those of all baselines.
        further: results, of which `per_class` and `units` are shown.
        remarks: of `lines_of`.
    """
    per_class = further.get("per_class", {})
    classes = [class_table(per_class)] if 0 < len(per_class) <= FEW else []
    return "\n\n".join(
        ["\n".join([table(test, baseline, further.get("units", {})), *map(on_screen, remarks)]), *classes]
    )


def report(results: dict[str, Any], folder: Path, trainer: Trainer) -> str:
    """The summary of a run.

    Args:
        results: of `results_of`.
        folder: of the run.
        trainer: of the run, whose loggers may have a dashboard.
    """
    model, of_test = trainer.lightning_module, (results["test"], results["baseline"])
    remarks = lines_of(*of_test, results["baselines"], model, results["monitor"])
    lines = [tables(*of_test, results, remarks) if results["test"] else "not tested", ""]
    lines += map(on_screen, partly(results["partial"], trainer))
    seconds, rate = results["train_seconds"], results["examples_per_second"]
    tokens = f", {results['tokens_per_second']:,.0f} tokens a second" if "tokens_per_second" in results else ""
    share = f", {results['peak_share']:.0%} of the devices' peak" if "peak_share" in results else ""
    lines.append(f"trained in {seconds:.1f} s, {rate:,.0f} examples a second{tokens}{share}")
    lines.append(on_screen(f"ended:      {results['end']['text']}"))
    if results["best"] is not None:
        at = f"epoch {results['best_epoch']}" if results["best_epoch"] else f"step {results['best_step']}"
        lines.append(f"best:       {at}, {results['monitor']} {rounded(results['best'])}")
    if results["best_checkpoint"]:
        lines.append(f"checkpoint: {shown(Path(results['best_checkpoint']))}")
    if (folder / REPORT).exists():
        lines.append(f"report:     {shown(folder / REPORT)}")
    if any(isinstance(logger, TensorBoardLogger) for logger in trainer.loggers):
        lines.append(f"dashboard:  tensorboard --logdir {quoted(relative(folder.parent))}")
    return "\n".join([*lines, *profiled(folder)])


def profiled(folder: Path) -> list[str]:
    """The beginning of what a profiler has written of the training, and where."""
    files = sorted(folder.glob(f"fit-{PROFILE}*"))
    text = next((file.read_text(encoding="utf-8") for file in files if file.suffix == ".txt"), "")
    lines = [line[:PROFILE_WIDTH].rstrip() for line in text.splitlines()[:PROFILE_LINES]]
    return [*(["", *lines, ""] if lines else []), *(f"profile:    {shown(file)}" for file in files)]


def partly(partial: dict[str, str], trainer: Any) -> list[str]:
    """The line that says what limits have left out, if anything.

    Args:
        partial: what they leave, by split.
        trainer: that has them.
    """
    seen = ", ".join(f"{seen} to {SPLIT_VERBS[split]}" for split, seen in partial.items())
    limits = next((f"--trainer.{name} has" for name in ONE_LIMIT if getattr(trainer, name)), "--trainer's limits have")
    return [f"partial, as {limits} it: {seen}"] if partial else []


def results_of(
    config: Config, tested: Any, trainer: Trainer, path: Path | None, data: DataModule, end: dict[str, Any]
) -> dict[str, Any]:
    """What `results.json` contains.

    Args:
        config: the run's resolved configuration.
        tested: the metrics that testing has logged.
        trainer: of the run.
        path: of the checkpoint that was tested.
        data: that it was tested on.
        end: of `ending`.
    """
    throughput = next(callback for callback in trainer.callbacks if isinstance(callback, Throughput))  # type: ignore[attr-defined]
    checkpoints: Any = trainer.checkpoint_callback
    model = trainer.lightning_module
    test = scores(tested, model)
    return {
        "model": config["about"]["name"],
        "data": config["data"]["init_args"].get("dataset", config["data"]["class_path"]),
        "seed": config["seed_everything"],
        "test": test,
        "baseline": named(tested, "baseline/"),
        "baselines": facts_of(trainer),
        "units": units(model, data),
        "modes": {name: model.mode_of(name) for name in test} if isinstance(model, Task) else {},
        "monitor": checkpoints.monitor,
        "mode": checkpoints.mode,
        "best": checkpoints.best_score,
        "best_epoch": checkpoints.best_epoch,
        "best_step": checkpoints.best_step,
        "end": end,
        "train_seconds": throughput.train_seconds,
        "examples_per_second": throughput.examples_per_second,
        **speed(throughput, trainer),
        "best_checkpoint": str(path) if path else None,
        **(details(model) if tested else {}),
    }


def speed(throughput: Throughput, trainer: Trainer) -> dict[str, float]:
    """Tokens a second, where there are texts, and what their computation takes, where that is known."""
    tokens = throughput.tokens_per_second(trainer.world_size)
    found = {} if tokens is None else {"tokens_per_second": tokens}
    return found | compute(tokens, trainer.lightning_module, trainer)


def units(model: Any, data: DataModule) -> dict[str, str]:
    """The unit of each metric that has one, in words."""
    return model.units(data.target_unit) if isinstance(model, Task) else {}


def details(model: Any) -> dict[str, Any]:
    """The results of a test that a model has besides its metrics."""
    return model.details() if isinstance(model, Task) else {}


def scores(tested: dict[str, float], model: LightningModule) -> dict[str, float]:
    """The test's metrics, without the split's name; of a model of another package as it has called them."""
    return named(tested, "test/") if isinstance(model, Task) else dict(tested)


def named(metrics: dict[str, float], prefix: str) -> dict[str, float]:
    """The metrics whose names begin so, without it."""
    return {name.removeprefix(prefix): value for name, value in metrics.items() if name.startswith(prefix)}
