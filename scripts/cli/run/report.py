"""What a run says on the screen: its heading, its tables and its end."""

import unicodedata
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from datamodules.files.paths import printable, relative
from scripts.cli.command_line.recipes import Request
from scripts.cli.run.build import Built
from scripts.cli.shell import quoted

FEW = 10  # classes, that their table leaves the rest of the report in sight


def heading(request: Request, run: Built, trainer: Trainer, folder: Path, checkpoint: Path | None) -> str:
    """What is about to run: model, data, size, device, place."""
    parameters = sum(parameter.numel() for parameter in run.model.parameters() if parameter.requires_grad)
    device = trainer.strategy.root_device.type
    place = f"{trainer.world_size} × {device}" if trainer.world_size > 1 else device
    on = f", goes on from {checkpoint.name}" if checkpoint else ""
    start = f"\n{run.start}" if run.start and not checkpoint else ""
    return (
        f"{request.name} on {printable(run.data.dataset)}: {parameters:,} parameters, "
        f"{' / '.join(str(len(split)) for split in run.data.splits or ())} examples to train / validate / test on, "
        f"{place}, precision {trainer.precision}, {shown(folder)}{on}{start}"
    )


def shown(path: Path) -> str:
    """The path as seen from here, if that is shorter, as it can be shown."""
    return printable(relative(path))


def table(test: dict[str, float], baseline: dict[str, float]) -> str:
    """Metrics, a line each, beside the baseline's; then those that only a baseline has."""
    further = {name: value for name, value in baseline.items() if name not in test}
    width = max(map(len, [*test, *further]))
    lines = [f"{'':{width}}  {'test':>10}  {'baseline':>10}" if baseline else f"{'':{width}}  {'test':>10}"]
    for name, value in test.items():
        beside = f"{baseline[name]:>10.4g}" if name in baseline else ""
        lines.append(f"{name:{width}}  {value:>10.4g}  {beside}".rstrip())
    lines += [f"{name:{width}}  {'':>10}  {value:>10.4g}" for name, value in further.items()]
    return "\n".join(lines)


def class_table(per_class: dict[str, dict[str, float]]) -> str:
    """Scores and number of examples of each class, a line each."""
    wide = {name: sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in name) for name in per_class}
    width = max(wide.values())
    lines = [f"{'':{width}}  {'precision':>10}  {'recall':>10}  {'f1':>10}  {'examples':>10}"]
    for name, scores in per_class.items():
        cells = "  ".join(f"{value:>10.4g}" for value in scores.values())
        lines.append(f"{name}{' ' * (width - wide[name])}  {cells}")
    return "\n".join(lines)


def tables(test: dict[str, float], baseline: dict[str, float], further: dict[str, Any]) -> str:
    """The metrics, and where there are few classes each one's scores."""
    per_class = further.get("per_class", {})
    parts = [table(test, baseline), *([class_table(per_class)] if 0 < len(per_class) <= FEW else [])]
    return "\n\n".join(parts)


def report(results: dict[str, Any], folder: Path) -> str:
    """The end of a run on the screen."""
    lines = [tables(results["test"], results["baseline"], results), ""]
    best = f", best {results['monitor']} {results['best']:.4g}" if results["best"] is not None else ""
    lines.append(
        f"trained in {results['train_seconds']:.1f} s, {results['examples_per_second']:,.0f} examples a second{best}"
    )
    if results["best_checkpoint"]:
        lines.append(f"checkpoint: {shown(Path(results['best_checkpoint']))}")
    lines.append(f"dashboard:  tensorboard --logdir {quoted(relative(folder.parent))}")
    return "\n".join(lines)
