"""What else than its settings has changed since a run was stopped."""

from pathlib import Path

from lightning.pytorch import Trainer

from callbacks.run.checkpoint_file import read_checkpoint
from callbacks.run.processes import check_same_data
from datamodules.base import DataModule
from scripts.cli.errors import UsageError


def state_changes(path: Path, trainer: Trainer, data: DataModule) -> list[str]:
    """The data, and the number of processes, that are other than when a checkpoint was saved.

    Raises:
        UsageError: the run has done more epochs than it is to have.
    """
    checkpoint = read_checkpoint(path, mapped=True)
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
    return changes
