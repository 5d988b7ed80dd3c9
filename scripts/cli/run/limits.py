"""How many of the batches a run sees: Lightning's limits, against the data."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from lightning.pytorch import Trainer

from datamodules.base import DataModule
from datamodules.loading.sampling import Splits
from scripts.cli.errors import UsageError


class Limit(NamedTuple):
    """How many of a split's batches are seen."""

    option: str
    value: int | float
    seen: int
    size: int


def limit_of(trainer: Any, data: DataModule, split: str) -> Limit:
    """The limit of a split."""
    size = data.num_batches(split)
    option = f"limit_{split}_batches"
    value = getattr(trainer, option)
    if trainer.overfit_batches and split != "test":
        option = "overfit_batches"
    if size is None:  # a loader of another package may not know it: nothing is said to be left out
        return Limit(option, value, 1, 1)
    return Limit(option, value, min(size, value) if isinstance(value, int) else int(size * value), size)


def settle_limits(trainer: Trainer, data: DataModule) -> None:
    """Check limits and intervals; where both are in epochs, the last epoch is validated, however few there are.

    Raises:
        UsageError: nothing would be trained, less than one batch seen, or no validation made. The message names the
            option.
    """
    for split in data.missing:
        setattr(trainer, f"limit_{split}_batches", 0)
    found = {split: limit_of(trainer, data, split) for split in Splits._fields}
    for split, (option, value, seen, size) in found.items():
        if option == "overfit_batches" and split == "val" and not seen:
            trainer.limit_val_batches = 1
        elif not seen and (value or split == "train"):
            raise UsageError(
                f"--trainer.{option} {value}: leaves none of the {size} {split} batches; expected at least "
                f"1, or a fraction of {1 / max(size, 1):.2g}"
            )
    steps, interval, epochs = found["train"].seen, trainer.val_check_interval, trainer.check_val_every_n_epoch
    known = data.num_batches("train") is not None
    if known and isinstance(interval, int) and interval > steps and epochs is not None:
        raise UsageError(
            f"--trainer.val_check_interval {interval}: an epoch has {steps} steps; expected at most as many, or "
            f"--trainer.check_val_every_n_epoch null, which counts them across epochs"
        )
    if epochs is not None and trainer.max_epochs and 0 < trainer.max_epochs < epochs:
        trainer.check_val_every_n_epoch = trainer.max_epochs


def partial(trainer: Trainer, data: DataModule, splits: Iterable[str] = Splits._fields) -> dict[str, str]:
    """What limits leave of those splits of which they leave something out, such as {"test": "2 of 4 batches"}."""
    found = {split: limit_of(trainer, data, split) for split in splits}
    return {split: f"{limit.seen} of {limit.size} batches" for split, limit in found.items() if limit.seen < limit.size}
