"""Options that would be without effect: each is refused, with what it belongs to."""

from inspect import signature
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import LightningModule

from datamodules.base import DataModule
from lightning_modules.optim.schedules import FALLING
from scripts.cli.command_line.argv import CommandLine
from scripts.cli.command_line.recipes import Request
from scripts.cli.command_line.techniques import TECHNIQUES
from scripts.cli.errors import UsageError


def check_effects(request: Request, options: Namespace, model: type[LightningModule]) -> None:
    """Refuse an option that is without effect because of what another one is, or is not.

    What a resumed run was begun with is left alone.

    Args:
        request: of the command line.
        options: parsed.
        model: class of the model.

    Raises:
        UsageError: there is one.
    """
    for section, technique in TECHNIQUES.items():
        first, *others = signature(technique).parameters.values()
        if not technique(**dict(options[section])).enabled:
            for each in others:
                _refuse(request, options, f"{section}.{each.name}", f"without --{section}.{first.name}", each.default)
    if options.averaging.kind == "swa":
        _refuse(request, options, "averaging.decay", "with --averaging.kind swa, a mean of equal weights")
    if options.trainer.gradient_clip_val is None:
        _refuse(request, options, "trainer.gradient_clip_algorithm", "without --trainer.gradient_clip_val")
    if (schedule := options.model.get("schedule")) not in (None, *FALLING):
        _refuse(
            request, options, "model.final_rate", f"with --model.schedule {schedule}; {', '.join(FALLING)} fall", 0.0
        )
    if options.model.get("pretrained") is not None:
        for name in getattr(model, "of_fresh_weights", ()):
            _refuse(request, options, f"model.{name}", "with --model.pretrained, which has its own")


def _refuse(request: Request, options: Namespace, setting: str, because: str, default: Any = None) -> None:
    """Refuse a setting if the user has given it, and not as what it is by default."""
    given = _typed(request, setting) if request.resume else request.mentions(setting)
    if given and options[setting] != default:
        raise UsageError(f"--{setting} {options[setting]}: is without effect {because}")


def _typed(request: Request, setting: str) -> bool:
    return CommandLine(list(request.arguments)).mentions(f"--{setting}")


def check_data_effects(request: Request, data: DataModule) -> None:
    """Refuse an option on the command line that changes nothing about this data.

    Raises:
        UsageError: there is one.
    """
    for option, because in data.without_effect().items():
        if _typed(request, f"data.{option}"):
            raise UsageError(f"--data.{option}: is without effect: {because}")
