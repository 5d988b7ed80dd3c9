"""A LightningDataModule of another package, as a run takes it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule
from torch import Tensor

from datamodules.base import KEEPS_LAST, DataModule
from datamodules.loading.examples import Examples, Names, Source
from datamodules.loading.sampling import Splits
from scripts.cli.errors import UsageError


class ForeignData(DataModule):
    """Hands out another data module's own loaders, and states of it what a run needs to know.

    Args:
        theirs: the other data module.
    """

    is_own = False

    def __init__(self, theirs: LightningDataModule) -> None:
        super().__init__(type(theirs).__name__, batch_size=getattr(theirs, "batch_size", None))
        self.theirs = theirs

    def prepare_data(self) -> None:
        """Download."""
        self.theirs.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Set it up for training and testing, and count its examples."""
        if self.is_set_up:
            return
        for each in ("fit", "test"):
            self.theirs.setup(each)
        sizes = [self._size(name) for name in Splits._fields]
        self.missing = tuple(name for name, size in zip(Splits._fields, sizes, strict=True) if size is None)
        if "train" in self.missing:
            raise UsageError(f"{self.dataset}: has no train_dataloader to train from")
        self.splits, self.is_set_up = Splits(*(torch.arange(size or 0) for size in sizes)), True

    setup_test = setup

    def _size(self, split: str) -> int | None:
        """Number of examples, 0 where a loader does not know it; None where there is no loader."""
        try:
            loaders = getattr(self.theirs, f"{split}_dataloader")()
        except (MisconfigurationException, NotImplementedError):  # which Lightning's own method raises
            return None
        if loaders is None:
            return None
        each = loaders if isinstance(loaders, list | tuple) else [loaders]
        try:
            return sum(len(loader.dataset) for loader in each)
        except (TypeError, AttributeError):
            return 0

    def num_batches(self, split: str) -> int | None:
        """Number of batches of its loader, or loaders; None where one does not know."""
        loaders = self._loaders(split)
        try:
            return sum(map(len, loaders)) if isinstance(loaders, list | tuple) else len(loaders)
        except TypeError:
            return None

    def train_dataloader(self) -> Any:
        """Its loader."""
        return self._loaders("train")

    def val_dataloader(self) -> Any:
        """Its loader."""
        return self._loaders("val")

    def test_dataloader(self) -> Any:
        """Its loader."""
        return self._loaders("test")

    def predict_dataloader(self) -> Any:
        """Its loader."""
        return self._loaders("predict")

    def _loaders(self, split: str) -> Any:
        if split in self.missing:
            return []
        self.theirs.trainer = self.trainer
        return getattr(self.theirs, f"{split}_dataloader")()

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Seed a training step, and what it does itself."""
        batch = super().on_before_batch_transfer(batch, dataloader_idx)
        return self.theirs.on_before_batch_transfer(batch, dataloader_idx)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move a batch as it does."""
        return self.theirs.transfer_batch_to_device(batch, device, dataloader_idx)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """What it does itself."""
        return self.theirs.on_after_batch_transfer(batch, dataloader_idx)

    def check_processes(self, world_size: int) -> None:
        """Its loaders' samplers are its own."""

    def contents(self) -> dict[str, str]:
        """Nothing: what it reads is not known."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Its own state."""
        return {KEEPS_LAST: True, "theirs": self.theirs.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Its own state."""
        self.theirs.load_state_dict(state_dict["theirs"])
        self.restored = True
        if self.trainer is not None and self.trainer.state.fn == "fit":
            self.note(f"{self.dataset}, a data module of another package, begins a resumed epoch anew")

    def read(self) -> Source:
        """Not known."""
        raise self._unknown("read")

    def fit(self, train: Tensor) -> None:
        """Not known."""
        raise self._unknown("fit")

    def examples(self, index: Tensor) -> Examples:
        """Not known."""
        raise self._unknown("take examples from")

    def read_input(self, path: Path) -> tuple[Examples, Names]:
        """Not known."""
        raise self._unknown(f"predict for {path} with")

    def example_hashes(self) -> Iterable[Any] | None:
        """Not known."""
        return None

    def _unknown(self, what: str) -> UsageError:
        return UsageError(
            f"cannot {what} {self.dataset}, a data module of another package; one that derives from "
            f"datamodules.base.DataModule can"
        )
