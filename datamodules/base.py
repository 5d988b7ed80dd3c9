"""What every kind of data has in common: three sources, three splits, loaders, and a state that a checkpoint keeps."""

import hashlib
import os
import sys
from abc import abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn
from torch.utils.data import DataLoader

from datamodules.errors import DataError
from datamodules.export.exportable import ExportableFeatures, ExportableModule
from datamodules.files.paths import file_or_folder, printable, user_path
from datamodules.loading.examples import Examples, Loader, Names, Source
from datamodules.loading.sampling import (
    Batches,
    ClassBalancedSampler,
    OrderedBatches,
    Position,
    Splits,
    check_shard_sizes,
    cut,
    fold_of,
    seed_globally,
)
from datamodules.loading.workers import workers
from datamodules.storage.catalogue import Remotes
from datamodules.storage.download import DATA_FOLDER
from datamodules.storage.fingerprint import (
    EXAMPLES,
    LEARNED,
    SPLIT,
    described,
    hash_numbers,
    hash_object,
    hash_state,
    hash_texts,
)
from datamodules.storage.published import find_or_download


class Preview(NamedTuple):
    """Images of a training batch as a logger shows them.

    Args:
        images: (B, C, H, W) from 0 to 1.
        target: (B,) classes, or (B, K) each class's probability.
        class_names: of all classes.
    """

    images: Tensor
    target: Tensor
    class_names: list[str]


class DataModule(LightningDataModule):
    """Data with three disjoint, repeatable splits.

    A subclass reads (`read`), learns from the training split (`fit`) and hands out a split's examples (`examples`).
    `embedded` and `published` are the data sets that it knows by name: literals, or a table of
    `datamodules.storage.catalogue`, for they are read without importing the class. `provides` are the attributes that
    are passed to the model, `learned` those that are fitted to the training split and kept in a checkpoint.

    Args:
        dataset: name of a known data set, or the path of your own files.
        root: folder where published data sets are kept; searched, and only written into to download.
            By default `data/` beside the project.
        batch_size: examples in a training step, of all processes together; None for the whole training split.
        num_workers: processes that load batches; 0 where the data is in memory.
        val_fraction: share of the examples cut off for validation where the data set defines none.
        test_fraction: share of the examples cut off for testing where the data set defines none.
        num_folds: cut the examples into this many folds instead, one of which is tested.
        fold: which fold is tested, from 0.
        split_seed: of the cut; the same for every run, whatever --seed_everything is.

    Raises:
        ValueError: a number is out of its range, or two options contradict each other.
    """

    embedded: ClassVar[tuple[str, ...]] = ()
    published: ClassVar[Remotes] = {}
    provides: ClassVar[tuple[str, ...]] = ()
    learned: ClassVar[tuple[str, ...]] = ()
    shapes_vary: ClassVar[bool] = False  # whether batches differ in shape by more than their number of examples
    full_batch: ClassVar[bool] = False  # whether every step reads all of the data, whatever its batch size
    shapes_return: ClassVar[bool] = True  # whether a shape that has been comes again soon

    def __init__(
        self,
        dataset: str,
        root: str | None = None,
        batch_size: int | None = 64,
        num_workers: int = 0,
        val_fraction: float = 0.1,
        test_fraction: float = 0.2,
        num_folds: int | None = None,
        fold: int | None = None,
        split_seed: int = 0,
    ) -> None:
        super().__init__()
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"--data.batch_size: expected at least 1, got {batch_size}")
        if num_workers < 0:
            raise ValueError(f"--data.num_workers: expected at least 0, got {num_workers}")
        for name, fraction in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
            if not 0 < fraction < 1:
                raise ValueError(f"--data.{name}: expected a share between 0 and 1, got {fraction}")
        if val_fraction + test_fraction >= 1:
            raise ValueError(
                f"--data.val_fraction {val_fraction} and --data.test_fraction {test_fraction} leave nothing to train on"
            )
        if (num_folds is None) != (fold is None):
            raise ValueError("--data.num_folds and --data.fold belong together: give both or neither")
        if num_folds is not None and fold is not None:
            if num_folds < 2:
                raise ValueError(f"--data.num_folds: expected at least 2, got {num_folds}")
            if not 0 <= fold < num_folds:
                raise ValueError(
                    f"--data.fold {fold} and --data.num_folds {num_folds} contradict each other: "
                    f"folds count from 0 to {num_folds - 1}"
                )
        self.dataset = dataset
        self.root = user_path(root, "--data.root") if root else DATA_FOLDER
        if root and not self.root.is_dir():
            raise DataError(
                f"--data.root {root}: there is no such folder; name the one that holds your data sets, "
                f"or make it to have them downloaded into it"
            )
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.val_fraction = val_fraction
        self.test_fraction = test_fraction
        self.num_folds = num_folds
        self.fold = fold
        self.split_seed = split_seed
        self.splits: Splits | None = None
        self.even: ClassBalancedSampler | None = None  # which training examples an epoch has, where it is not each once
        self.restored = False
        self.predicted: Examples | None = None
        self.predicted_names: Names = []
        self.notes: list[str] = []
        self._fingerprint: dict[str, str] | None = None
        self._folders: dict[tuple[Path | str, ...], Path] = {}  # of the data set, found for its files

    @abstractmethod
    def read(self) -> Source:
        """Read the data set that `self.dataset` names."""

    @abstractmethod
    def fit(self, train: Tensor) -> None:
        """Learn what has to be learned (scaling, codes, class names) from the training examples alone."""

    @abstractmethod
    def examples(self, index: Tensor) -> Examples:
        """The examples at these indices, ready for the model."""

    @abstractmethod
    def read_input(self, path: Path) -> tuple[Examples, Names]:
        """Inputs without targets from the user's files, and a name for each, in the order of the input."""

    @property
    def is_embedded(self) -> bool:
        """Whether the data set comes with the project or its dependencies."""
        return self.dataset in self.embedded

    @property
    def is_published(self) -> bool:
        """Whether the data set is one that is downloaded."""
        return self.dataset in self.published

    def folder_of(self, required: Sequence[str], name: str | None = None) -> Path:
        """The folder that contains a published data set: found under `root`, or else downloaded.

        Args:
            required: files that tell it from other folders; each may also be there unpacked from its `.gz`.
            name: of the folder in the publisher's archive, if it is not the data set's.
        """
        key: tuple[Path | str, ...] = (self.root, *required)
        if key not in self._folders:
            names = [self.dataset, name or self.dataset]
            self._folders[key] = find_or_download(
                self.dataset, self.published, required, names, self.root, DATA_FOLDER, self.note
            )
        return self._folders[key]

    @property
    def path(self) -> Path:
        """The user's own file or folder.

        Raises:
            DataError: it is neither there nor the name of a data set.
        """
        path = user_path(self.dataset, "--data")
        if not path.exists():
            raise DataError(f"--data {self.dataset}: neither a data set known to {type(self).__name__} nor a path")
        return file_or_folder(path, "--data")

    def prepare_data(self) -> None:
        """Download what is missing, so that later calls only read."""

    def setup(self, stage: str | None = None) -> None:
        """Read, split, and learn from the training split; once, whatever the stage."""
        if self.splits is not None or (stage == "predict" and self.predicted is not None):
            return
        source = self.read()
        if source.size == 0:
            raise DataError(f"{self.dataset}: no examples in it")
        splits = self.split(source)
        self.check(source, splits)
        if not self.is_embedded:
            self.warn_about_duplicates(splits)
        if not self.restored:
            self.fit(splits.train)
        if self.batch_size is not None and self.batch_size > len(splits.train):
            raise DataError(
                f"--data.batch_size {self.batch_size}: the training split has only {len(splits.train)} examples"
            )
        self.splits = splits

    def size_of(self, split: str) -> int:
        """Examples in one pass over a split."""
        assert self.splits is not None, "setup() comes first"
        return len(self.even if split == "train" and self.even is not None else getattr(self.splits, split))

    def check_processes(self, number: int) -> None:
        """Refuse more processes than a batch has examples, in any split, before a run begins.

        Raises:
            DataError: some would have nothing to do.
        """
        for name in Splits._fields:
            size = self.size_of(name)
            try:
                check_shard_sizes(size, self.batch_size or size, number)
            except ValueError as error:
                where = f"{self.dataset}, --data.batch_size {self.batch_size}, the {name} split of {size}"
                raise DataError(f"{where}: {error}") from None

    def setup_test(self) -> None:
        """Read data that a trained model is to be tested on: its own test split, or else all of it.

        What was learned from the training data has to be restored before.
        """
        assert self.restored, "load_state_dict() comes first"
        source = self.read()
        if source.size == 0:
            raise DataError(f"{self.dataset}: no examples in it")
        none = torch.empty(0, dtype=torch.long)
        everything = torch.cat([none, *source.official.values()]) if source.official else torch.arange(source.size)
        self.splits = Splits(none, none, source.official.get("test", everything))
        self._fingerprint = None

    def split(self, source: Source) -> Splits:
        """The official splits, and what they lack cut off the training examples."""
        official = source.official
        if official and "train" not in official:
            raise DataError(f"{self.dataset}: has a split for {' and '.join(official)}, but none for train")
        rest = official.get("train", torch.arange(source.size))
        test = official.get("test")
        val = official.get("val")
        if self.num_folds is not None and self.fold is not None:
            if test is not None:
                raise DataError(
                    f"--data.num_folds {self.num_folds}: {self.dataset} has a test split of its own, "
                    f"which is never cut anew; leave out --data.num_folds and --data.fold"
                )
            rest, test = fold_of(rest, self.num_folds, self.fold, source.labels, self.split_seed)
        elif test is None:
            rest, test = cut(rest, self.test_fraction, source.labels, self.split_seed)
        if val is None:
            share = self.val_fraction * (source.size - len(official.get("test", ()))) / max(len(rest), 1)
            rest, val = cut(rest, min(share, 0.999), source.labels, self.split_seed + 1)
        return Splits(rest, val, test)

    def check(self, source: Source, splits: Splits) -> None:
        """Refuse splits that cannot be trained on or judged by."""
        for name, index in splits._asdict().items():
            if len(index) == 0:
                raise DataError(f"{self.dataset}: the {name} split is empty ({source.size} examples in all)")

    def example_hashes(self) -> Iterable[Hashable] | None:
        """What each example is known by: those that are alike here are the same; None where that is not looked for."""
        return None

    def contents(self) -> dict[str, str]:
        """A digest of each part of what training, validation and testing read, by the part's name.

        A subclass says which parts there are, of the data as its files have it; what is made of it is not compared.
        """
        return {f"{name} examples": hash_object(self._split(name)) for name in Splits._fields}

    @property
    def fingerprint(self) -> dict[str, str]:
        """Tells this data, as it is split, from other data: a short text for each of its parts.

        It is made once, before training begins.
        """
        if self._fingerprint is None:
            if self.splits is None:
                return {"inputs": hash_texts(map(str, self.predicted_names))} | self._learned_digests(self.state_dict())
            sizes = {EXAMPLES: str(sum(map(len, self.splits)))}
            splits = {f"{name}{SPLIT}": hash_numbers(index) for name, index in self.splits._asdict().items()}
            self._fingerprint = sizes | self.contents() | splits | self._learned_digests(self.state_dict())
        return self._fingerprint

    def _learned_digests(self, state: dict[str, Any]) -> dict[str, str]:
        return {f"{LEARNED}{name.replace('_', ' ')}": hash_state(state[name]) for name in self.learned if name in state}

    def changed_since(self, saved: str | dict[str, str], state: dict[str, Any]) -> str | None:
        """How this data differs from that which a checkpoint was trained on, in words; None where it does not.

        Args:
            saved: its fingerprint then; one text in the checkpoints of earlier versions.
            state: what was learned from it then.
        """
        if isinstance(saved, dict):
            return described(saved, self.fingerprint) or None
        if saved != self._earlier_fingerprint():
            return "its examples, or which split they are in"
        learned = self._learned_digests(state)
        return described(learned, {name: self.fingerprint[name] for name in learned}) or None

    def _earlier_fingerprint(self) -> str:
        """The fingerprint as checkpoints hold it that earlier versions saved: they resume as long as it is the same."""
        digest = hashlib.sha256()
        for index in self.splits or ():
            digest.update(index.numpy().tobytes())
        known = None if self.is_embedded else self.earlier_identities()
        for identity in () if known is None else known:
            digest.update(identity if isinstance(identity, bytes) else repr(identity).encode())
        return digest.hexdigest()

    def earlier_identities(self) -> Iterable[Hashable] | None:
        """What each example was known by in the fingerprints of earlier versions."""
        return self.example_hashes()

    def warn_about_duplicates(self, splits: Splits) -> None:
        """Tell the user of examples of the validation and test splits that are in the training split, too."""
        known = self.example_hashes()
        if known is None:
            return
        hashes = torch.from_numpy(np.fromiter(map(hash, known), np.int64))  # no set of what may be large
        seen = hashes[splits.train]
        for split in ("val", "test"):
            rows = getattr(splits, split)
            twice = int(torch.isin(hashes[rows], seen).sum())
            if twice:
                self.note(
                    f"{self.dataset}: {twice} of the {len(rows)} examples of the {split} split "
                    f"are in the training split, too"
                )

    def note(self, text: str) -> None:
        """Tell the user of something odd in the data that is no reason to stop."""
        self.notes.append(text)
        if getattr(rank_zero_only, "rank", 0) == 0:
            print(f"note: {printable(text)}", file=sys.stderr)

    def state_dict(self) -> dict[str, Any]:
        """What was learned from the training split, as plain types and tensors."""
        return {name: getattr(self, name) for name in self.learned}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what an earlier run learned, instead of learning it anew."""
        for name in self.learned:
            setattr(self, name, state_dict[name])
        self.restored = True

    def take_tokenizers(self, learned: dict[str, Any]) -> None:
        """Take over the tokenizers that an earlier run learned on other data, if texts are what this data is."""

    def set_input(self, path: Path) -> None:
        """Make the user's files what `predict` runs over.

        Raises:
            DataError: the path does not exist or holds nothing.
        """
        if not path.exists():
            raise DataError(f"--input {path}: there is no such file or folder")
        self.predicted, self.predicted_names = self.read_input(file_or_folder(path, "--input"))
        if len(self.predicted) == 0:
            raise DataError(f"--input {path}: holds no examples")

    def _loader(self, examples: Examples, training: bool = False) -> DataLoader[Any]:
        return Loader(
            examples,  # type: ignore[arg-type]
            batch_size=None,
            sampler=self._batches(examples, training, self.rank),
            num_workers=self.num_workers,
            multiprocessing_context=workers(self.num_workers),
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def _batches(self, examples: Examples, training: bool, rank: int) -> Batches:
        even = self.even if training else None
        size = len(examples if even is None else even)
        shuffle = training and not getattr(self.trainer, "overfit_batches", 0)
        try:
            return (Batches if shuffle else OrderedBatches)(
                len(examples),
                batch_size=min(self.batch_size or size, size),
                shuffle=shuffle,
                seed=self.seed,
                drop_last=training,
                position=self._position if training and self.trainer is not None else None,
                lengths=None if examples is self.predicted else getattr(examples, "lengths", None),
                even=even,
                rank=rank,
                world_size=self.world_size,
            )
        except ValueError as error:
            raise DataError(f"{self.dataset}, --data.batch_size {self.batch_size}: {error}") from None

    @property
    def seed(self) -> int:
        """The run's."""
        return int(os.environ.get("PL_GLOBAL_SEED", 0))

    @property
    def rank(self) -> int:
        """This process's number among those that train together."""
        return self.trainer.global_rank if self.trainer is not None else 0

    @property
    def world_size(self) -> int:
        """Number of processes that train together."""
        return self.trainer.world_size if self.trainer is not None else 1

    @property
    def num_predicted_batches(self) -> int:
        """Batches of the user's input, of all processes together."""
        assert self.predicted is not None, "set_input() comes first"
        return len(self._batches(self.predicted, False, rank=0))

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Seed what is drawn at random in a training step by nothing but its number.

        So a resumed run draws what the stopped one would have drawn. Augmentation comes right after this.
        """
        if self.trainer is not None and self.trainer.training:
            seed_globally(self.seed, self._position().begun, self.rank)
        return batch

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Change a training batch by chance, on its device."""
        training = self.trainer is not None and self.trainer.training
        return self.augmented(batch) if training else batch

    def augmented(self, batch: Any) -> Any:
        """A training batch, changed by chance where options ask for it."""
        return batch

    def preview(self, batch: Any, max_images: int) -> Preview | None:
        """The first images of a training batch with their classes, for the loggers; None where there are no images."""
        return None

    def export_inputs(self, model: nn.Module) -> ExportableModule:
        """A trained model whose inputs are the tensors that a batch of this data consists of.

        Raises:
            DataError: a batch is no tensor of features, and the datamodule does not say how to take it apart.
        """
        assert self.splits is not None, "setup() comes first"
        inputs, _ = self.examples(self.splits.test)[torch.arange(1)]
        if not isinstance(inputs, Tensor):
            raise DataError(
                f"--format: the inputs of {type(self).__name__} are {type(inputs).__name__}; expected a tensor, "
                f"or an export_inputs() of its own that takes them apart"
            )
        return ExportableFeatures(model, self)

    def _position(self) -> Position:
        """How far training is, which stands in every checkpoint."""
        assert self.trainer is not None
        loop = self.trainer.fit_loop
        return Position(loop.epoch_loop.batch_progress.total.ready, loop.max_batches)

    def _split(self, name: str) -> Examples:
        assert self.splits is not None, "setup() comes first"
        return self.examples(getattr(self.splits, name))

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of the training split, in another order each epoch."""
        return self._loader(self._split("train"), training=True)

    def whole_training_split(self, most: int) -> Iterator[Any]:
        """Training batches, as many as there are or as are wanted, always the same and no part of training's progress.

        Args:
            most: batches.
        """
        loader = self.train_dataloader()
        assert isinstance(loader.sampler, Batches)
        loader.sampler.position = None
        return islice(loader, most)

    def val_dataloader(self) -> DataLoader[Any]:
        """Batches of the validation split."""
        return self._loader(self._split("val"))

    def test_dataloader(self) -> DataLoader[Any]:
        """Batches of the test split."""
        return self._loader(self._split("test"))

    def predict_dataloader(self) -> DataLoader[Any]:
        """Batches of the user's input, in its order."""
        assert self.predicted is not None, "set_input() comes first"
        return self._loader(self.predicted)
