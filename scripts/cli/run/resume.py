"""Checks that a resumed run has the settings, the data and the processes that it had."""

from pathlib import Path

from lightning.pytorch import Trainer

from callbacks.run.checkpoint_file import read_checkpoint
from callbacks.run.processes import check_same_data
from datamodules.base import DataModule
from scripts.cli.command_line.recipes import Config, read_yaml
from scripts.cli.command_line.resume_changes import differences, refuse_changes
from scripts.cli.errors import UsageError


def check_settings(resume: Path | None, config: Config, inexact: bool) -> None:
    """Refuse other settings than the run had.

    Args:
        resume: the run's folder; None for a new run, which has all settings.
        config: the settings now.
        inexact: whether other settings are accepted.

    Raises:
        UsageError: with every difference.
    """
    if resume is not None:
        refuse_changes(differences(read_yaml(resume / "config.yaml", "--resume"), config), inexact)


def check_state(path: Path, trainer: Trainer, data: DataModule, inexact: bool) -> None:
    """Refuse other data, or another number of processes, than when a checkpoint was saved.

    Raises:
        UsageError: with every difference.
    """
    checkpoint = read_checkpoint(path)
    done, max_epochs = checkpoint["epoch"], trainer.max_epochs
    if max_epochs is not None and 0 <= max_epochs < done:
        raise UsageError(f"--trainer.max_epochs {max_epochs}: expected at least {done}, which the run has done")
    changes = []
    if checkpoint["world_size"] != trainer.world_size:
        changes.append(f"{trainer.world_size} processes (was {checkpoint['world_size']})")
    check_same_data(trainer, data)
    fitted = checkpoint.get(type(data).__qualname__, {})
    if found := data.changed_since(checkpoint["fingerprint"], fitted):
        changes.append(f"other data in {data.dataset}: {found}")
    refuse_changes(changes, inexact)
