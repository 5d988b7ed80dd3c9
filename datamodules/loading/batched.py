"""The loaders of a datamodule: their batches are sharded, shuffled, resumed and seeded here."""

import os
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.errors import DataError
from datamodules.loading.examples import Examples, Loader
from datamodules.loading.sampling import (
    Batches,
    ClassBalancedSampler,
    OrderedBatches,
    Position,
    Splits,
    check_shard_sizes,
    seed_globally,
)
from datamodules.loading.workers import num_cpus, workers
from datamodules.storage.uncollected import uncollected

MOST_WORKERS = 8
FEW = 500  # examples that are read before processes have begun


class BatchedData(LightningDataModule):
    """Data in splits, of which batches are loaded; a subclass reads it, and sets these attributes."""

    dataset: str
    batch_size: int | None
    num_workers: int | None
    splits: Splits  # once the data is set up
    balanced: ClassBalancedSampler | None  # the training examples of each epoch, where that is not each once
    predicted: Examples | None
    predicts_by_length: ClassVar[bool] = True  # whether similar lengths share a batch of the user's input
    keeps_large_last_batch = True  # of a training epoch, unless a run of an earlier version is resumed

    @abstractmethod
    def examples(self, index: Tensor) -> Examples:
        """The examples at these indices, ready for the model."""

    @uncollected()
    def split_examples(self, name: str) -> Examples:
        """The examples of a split."""
        return self.examples(getattr(self.splits, name))

    def size_of(self, split: str) -> int:
        """Number of examples in one epoch of a split."""
        return len(self.balanced if split == "train" and self.balanced is not None else getattr(self.splits, split))

    def batch_size_of(self, training: bool) -> int | None:
        """The examples in a batch, of training or evaluation; None for all of a split."""
        return self.batch_size

    def num_batches(self, split: str) -> int | None:
        """Number of batches in one epoch of a split, without gathering its examples; None if it is not known."""
        size = self.size_of(split)
        return len(
            Batches(
                size,
                batch_size=min(self.batch_size_of(split == "train") or size, size),
                drop_last=split == "train",
                keep_large=self.keeps_large_last_batch,
                rank=self.rank,
                world_size=self.world_size,
            )
        )

    def check_processes(self, world_size: int) -> None:
        """Refuse more processes than a batch of any split has examples, before a run begins.

        Raises:
            DataError: some processes would be idle.
        """
        for name in Splits._fields:
            size = self.size_of(name)
            try:
                check_shard_sizes(size, self.batch_size_of(name == "train") or size, world_size)
            except ValueError as error:
                where = f"{self.dataset}, --data.batch_size {self.batch_size}, the {name} split of {size}"
                raise DataError(f"{where}: {error}") from None

    def _loader(self, examples: Examples, training: bool = False) -> DataLoader[Any]:
        count = self.spare_workers(examples) if self.num_workers is None else self.num_workers
        return Loader(
            examples,  # type: ignore[arg-type]
            batch_size=None,
            sampler=self._batches(examples, training, self.rank),
            num_workers=count,
            multiprocessing_context=workers(count),
            persistent_workers=count > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def spare_workers(self, examples: Any) -> int:
        """Processes that may load batches of these examples while the model trains; none where nothing is read then."""
        if not getattr(examples, "reads_files", False) or len(examples) < FEW or workers(1) is None:
            return 0
        here = 1 if self.trainer is None else self.trainer.num_devices
        return min(MOST_WORKERS, max(num_cpus() // here - 1, 0))

    def _batches(self, examples: Examples, training: bool, rank: int) -> Batches:
        balanced = self.balanced if training else None
        size = len(examples if balanced is None else balanced)
        by_length = self.predicts_by_length or examples is not self.predicted
        shuffle = training and not getattr(self.trainer, "overfit_batches", 0)
        try:
            return (Batches if shuffle else OrderedBatches)(
                len(examples),
                batch_size=min(self.batch_size_of(training) or size, size),
                shuffle=shuffle,
                seed=self.seed,
                drop_last=training,
                keep_large=self.keeps_large_last_batch,
                position=self._position if training and self.trainer is not None else None,
                lengths=getattr(examples, "lengths", None) if by_length else None,
                clusters=getattr(examples, "clusters", None),
                pooled=examples is self.predicted,
                balanced=balanced,
                rank=rank,
                world_size=self.world_size,
            )
        except ValueError as error:
            raise DataError(f"{self.dataset}, --data.batch_size {self.batch_size}: {error}") from None

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return int(os.environ.get("PL_GLOBAL_SEED", 0))

    @property
    def rank(self) -> int:
        """This process's rank among those that train together."""
        return self.trainer.global_rank if self.trainer is not None else 0

    @property
    def world_size(self) -> int:
        """Number of processes that train together."""
        return self.trainer.world_size if self.trainer is not None else 1

    @property
    def predicted_batches(self) -> Sequence[Tensor]:
        """The positions of the examples in each batch of the user's input, of all processes together."""
        assert self.predicted is not None, "set_input() comes first"
        return self._batches(self.predicted, False, rank=0).of_all_processes(0)

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Seed a training step by its index alone, so that a resumed run samples what the stopped one would have.

        Augmentation comes right after this.
        """
        if self.trainer is not None and self.trainer.training:
            seed_globally(self.seed, self._position().begun, self.rank)
        return batch

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augment a training batch, on its device."""
        training = self.trainer is not None and self.trainer.training
        return self.augmented(batch) if training else batch

    def augmented(self, batch: Any) -> Any:
        """A training batch, changed at random as the options say."""
        return batch

    def _position(self) -> Position:
        """How far training is, which every checkpoint contains."""
        assert self.trainer is not None
        loop = self.trainer.fit_loop
        return Position(loop.epoch_loop.batch_progress.total.ready, loop.max_batches)

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of the training split, in another order each epoch."""
        return self._loader(self.split_examples("train"), training=True)

    def training_batches(self, max_batches: int) -> Iterator[Any]:
        """The first batches of the training split, always the same; they do not count as training's progress.

        Args:
            max_batches: maximum number of batches.
        """
        loader = self.train_dataloader()
        assert isinstance(loader.sampler, Batches)
        loader.sampler.position = None
        return islice(loader, max_batches)

    def val_dataloader(self) -> DataLoader[Any]:
        """Batches of the validation split."""
        return self._loader(self.split_examples("val"))

    def test_dataloader(self) -> DataLoader[Any]:
        """Batches of the test split."""
        return self._loader(self.split_examples("test"))

    def predict_dataloader(self) -> DataLoader[Any]:
        """Batches of the user's input, whose examples are in the order of `predicted_batches`."""
        assert self.predicted is not None, "set_input() comes first"
        return self._loader(self.predicted)
