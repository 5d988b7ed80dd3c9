"""The base class of all datamodules: three sources, three splits, and a state that checkpoints keep."""

import hashlib
import math
import os
import re
import sys
from abc import abstractmethod
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only
from numpy.typing import NDArray
from torch import Tensor, nn

from datamodules.baselines.baseline import Baseline
from datamodules.checking.described import DescribedData
from datamodules.errors import DataError
from datamodules.export.exportable import ExportableFeatures, ExportableModule
from datamodules.files.paths import file_or_folder, printable, user_path
from datamodules.loading import groups, sampling
from datamodules.loading.examples import Examples, Names, Source
from datamodules.loading.sampling import EPOCH_STEPS, Splits, cut, fold_of
from datamodules.storage import fingerprint
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
from datamodules.storage.kept import MIN_BYTES, Kept, code_of, kept
from datamodules.storage.published import find_or_download
from datamodules.storage.uncollected import uncollected


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


COMPUTED = code_of(sys.modules[__name__], fingerprint, groups, sampling)
BYTES_OF_INDEX = 8
KEEPS_LAST = "keeps_large_last_batch"  # in a checkpoint


class DataModule(DescribedData):
    """Data with three disjoint, repeatable splits.

    A subclass reads (`read`), fits to the training split (`fit`) and returns a split's examples (`examples`).
    `embedded` and `published` are the data sets that it knows by name: literals, or a table of
    `datamodules.storage.catalogue`, for they are read without importing the class. `provides` are the attributes that
    are passed to the model, `fitted` those that are fitted to the training split and kept in a checkpoint; `added`
    are the values of those that checkpoints of earlier versions lack.

    Args:
        dataset: name of a known data set, or the path of your own files.
        root: folder where published data sets are kept; searched, and only written into to download.
            By default `data/` of the project.
        batch_size: examples in a training step, of all processes together; None for the complete training split.
        num_workers: processes that load batches; by default none where the data is in memory, and one for each CPU that
            training leaves, up to 8, where each batch reads files.
        val_fraction: fraction of the examples that is split off for validation where the data set defines none.
        test_fraction: fraction of the examples that is split off for testing where the data set defines none.
        num_folds: split the examples into this many folds instead, one of which is tested.
        fold: index of the tested fold, from 0.
        split_seed: of the random split; the same for every run, whatever --seed_everything is.

    Raises:
        ValueError: a number is out of its range, or two options contradict each other.
    """

    embedded: ClassVar[tuple[str, ...]] = ()
    of_embedded: ClassVar[tuple[str, ...]] = ()  # options of the embedded data alone
    of_own: ClassVar[tuple[str, ...]] = ()  # options of one's own files alone
    published: ClassVar[Remotes] = {}
    provides: ClassVar[tuple[str, ...]] = ()
    fitted: ClassVar[tuple[str, ...]] = ()
    added: ClassVar[dict[str, Any]] = {}
    hashed: ClassVar[str] = "examples"  # what `example_hashes` are of
    shapes_vary: ClassVar[bool] = False  # whether batches differ in shape by more than their batch size
    typed: ClassVar[tuple[str, str]] = ("", "")  # endings of files of typed or piped inputs: text, and JSON lines
    typed_form: ClassVar[str] = ""  # of typed inputs that are JSON alone, for an error
    full_batch: ClassVar[bool] = False  # whether every step reads all of the data, whatever its batch size
    missing: tuple[str, ...] = ()  # splits that there are not
    shapes_return: ClassVar[bool] = True  # whether shapes recur within a few batches

    def __init__(
        self,
        dataset: str,
        root: str | None = None,
        batch_size: int | None = 64,
        num_workers: int | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.2,
        num_folds: int | None = None,
        fold: int | None = None,
        split_seed: int = 0,
    ) -> None:
        super().__init__()
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"--data.batch_size: expected at least 1, got {batch_size}")
        if num_workers is not None and num_workers < 0:
            raise ValueError(f"--data.num_workers: expected at least 0, got {num_workers}")
        for name, fraction in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
            if not 0 < fraction < 1:
                raise ValueError(f"--data.{name}: expected a fraction between 0 and 1, got {fraction}")
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
        self.dataset = os.fspath(dataset)
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
        self.is_set_up = False
        self.least_batch: int | None = None  # to which a batch size that nobody has chosen may shrink
        self.balanced = None
        self.restored = False
        self.predicted: Examples | None = None
        self.predicted_names: Names = []
        self.notes: list[str] = []
        self.shown_as: dict[str, str] = {}  # in notes, of files that the user does not know
        self.causes: dict[str, str] = {}
        self._read_from: list[Any] = []  # what tells the data from other data, where it is known without hashing it
        self._read_bytes = 0  # of its files
        self._fingerprint: dict[str, str] | None = None
        self.compared: dict[str, str] | None = None  # the fingerprint, once it is known to be that of all processes
        self._folders: dict[tuple[Path | str, ...], Path] = {}  # of the data set, found for its files

    @abstractmethod
    def read(self) -> Source:
        """Read the data set that `self.dataset` names."""

    @abstractmethod
    def fit(self, train: Tensor) -> None:
        """Fit what is fitted (scaling, codes, class names) to the training examples alone."""

    @abstractmethod
    def read_input(self, path: Path) -> tuple[Examples, Names]:
        """Inputs without targets from the user's files, and a name for each, in the order of the files."""

    @property
    def target_unit(self) -> str:
        """In words, the unit of the target, where it is a number; empty where it has none or it is unknown."""
        return ""

    @property
    def is_embedded(self) -> bool:
        """Whether the data set comes with the project or its dependencies."""
        return self.dataset in self.embedded

    @property
    def is_published(self) -> bool:
        """Whether the data set is one that is downloaded."""
        return self.dataset in self.published

    @property
    def is_own(self) -> bool:
        """Whether the data are the user's own files."""
        return not self.is_embedded and not self.is_published

    def without_effect(self) -> dict[str, str]:
        """The options that change nothing about this data once it is split, and why."""
        official = [split for split in ("val", "test") if self.causes.get(split, "").startswith("as ")]
        found = {f"{split}_fraction": f"{self.dataset} has a {split} split of its own" for split in official}
        if len(official) == 2:
            found["split_seed"] = f"{self.dataset} has splits of its own"
        if self.num_folds is not None:
            found["test_fraction"] = "the fold is the test split"
        if not self.is_embedded:
            found |= dict.fromkeys(self.of_embedded, f"is of the embedded data, {' and '.join(self.embedded)}")
        if not self.is_own:
            found |= dict.fromkeys(self.of_own, f"is of your own files, not of {self.dataset}")
        return found

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

    @uncollected()
    def setup(self, stage: str | None = None) -> None:
        """Read, split, and fit to the training split; once, whatever the stage."""
        if self.is_set_up or (stage == "predict" and self.predicted is not None):
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
        self.splits = self.arranged(splits)
        if self.least_batch is not None:
            self._shrink_batch(self.least_batch)
        if self.batch_size is not None and self.batch_size > len(self.splits.train):
            raise DataError(
                f"--data.batch_size {self.batch_size}: the training split has only {len(self.splits.train)} examples"
            )
        self.is_set_up = True

    def _shrink_batch(self, least: int) -> None:
        """Make a batch size that nobody has chosen small enough for own data, and no smaller than that."""
        size = self.size_of("train")
        fits = max(least, 2 ** int(math.log2(max(size // EPOCH_STEPS, 1))))
        if self.batch_size is None or size // self.batch_size >= EPOCH_STEPS or self.batch_size <= fits:
            return
        if self.is_own or self.batch_size > size:
            self.note(
                f"--data.batch_size {fits}, not {self.batch_size}: of {size} training examples an epoch has "
                f"{size // fits} steps then"
            )
            self.batch_size = fits

    @uncollected()
    def setup_test(self) -> None:
        """Read data that a trained model is to be tested on: its own test split, or else all of it.

        The state that was fitted to the training data has to be restored before.
        """
        assert self.restored, "load_state_dict() comes first"
        source = self.read()
        if source.size == 0:
            raise DataError(f"{self.dataset}: no examples in it")
        none = torch.empty(0, dtype=torch.long)
        everything = torch.cat([none, *source.official.values()]) if source.official else torch.arange(source.size)
        self.splits = self.arranged(Splits(none, none, source.official.get("test", everything)))
        self.is_set_up = True
        self._fingerprint = None

    def split(self, source: Source) -> Splits:
        """The official splits, and those that are missing, split off the training examples."""
        official = source.official
        folds = f"; fold {self.fold} of {self.num_folds}" if self.num_folds is not None else ""
        drawn = f"drawn at random with --data.split_seed {self.split_seed}{folds}"
        self.causes = {split: "as given" if split in official else drawn for split in Splits._fields}
        if official and "train" not in official:
            raise DataError(f"{self.dataset}: has a split for {' and '.join(official)}, but none for train")
        if self.num_folds is not None and "test" in official:
            raise DataError(
                f"--data.num_folds {self.num_folds}: {self.dataset} has a test split of its own, "
                f"which is never split again; leave out --data.num_folds and --data.fold"
            )
        labels = None if source.labels is None else hash_numbers(source.labels)
        given = [source.size, labels, {split: hash_numbers(rows) for split, rows in official.items()}]
        options = [self.val_fraction, self.test_fraction, self.num_folds, self.fold, self.split_seed]
        key = ["splits", *given, *options, torch.__version__, COMPUTED]
        found = kept(lambda: Kept(self._drawn(source)), key, BYTES_OF_INDEX * source.size).arrays
        return Splits(**{split: torch.from_numpy(found[split]) for split in Splits._fields})

    def _drawn(self, source: Source) -> dict[str, NDArray[np.int64]]:
        """The examples of each split."""
        official = source.official
        rest = official.get("train", torch.arange(source.size))
        test = official.get("test")
        val = official.get("val")
        if self.num_folds is not None and self.fold is not None:
            rest, test = fold_of(rest, self.num_folds, self.fold, source.labels, self.split_seed)
        elif test is None:
            rest, test = cut(rest, self.test_fraction, source.labels, self.split_seed)
        if val is None:
            fraction = self.val_fraction * (source.size - len(official.get("test", ()))) / max(len(rest), 1)
            rest, val = cut(rest, min(fraction, 0.999), source.labels, self.split_seed + 1)
        return {"train": rest.numpy(), "val": val.numpy(), "test": test.numpy()}

    def arranged(self, splits: Splits) -> Splits:
        """The splits of what batches consist of, where that is made of what was read: such as rows of several texts."""
        return splits

    def check(self, source: Source, splits: Splits) -> None:
        """Refuse splits that cannot be trained on or judged by."""
        for name, index in splits._asdict().items():
            if len(index) == 0:
                raise DataError(f"{self.dataset}: the {name} split is empty ({source.size} examples in all)")

    def example_hashes(self) -> Iterable[Hashable] | NDArray[np.uint64] | None:
        """A hash of each example, equal for duplicates; None where duplicates are not detected."""
        return None

    def contents(self) -> dict[str, str]:
        """A digest of each part of the data that training, validation and testing read, by the part's name.

        A subclass lists the parts of the data as its files contain it; what is computed from it is not compared.
        """
        return {f"{name} examples": hash_object(self.split_examples(name)) for name in Splits._fields}

    @property
    def fingerprint(self) -> dict[str, str]:
        """Digests that distinguish this data, as it is split, from other data; computed once, before training."""
        if self._fingerprint is None:
            if not self.is_set_up:
                return {"inputs": hash_texts(map(str, self.predicted_names))} | self._state_digests(self.state_dict())
            sizes = {EXAMPLES: str(sum(map(len, self.splits)))}
            splits = {f"{name}{SPLIT}": hash_numbers(index) for name, index in self.splits._asdict().items()}
            self._fingerprint = sizes | self.contents() | splits | self._state_digests(self.state_dict())
        return self._fingerprint

    def _state_digests(self, state: dict[str, Any]) -> dict[str, str]:
        return {f"{LEARNED}{name.replace('_', ' ')}": hash_state(state[name]) for name in self.fitted if name in state}

    def changed_since(self, saved: str | dict[str, str], state: dict[str, Any]) -> str | None:
        """How this data differs from that which a checkpoint was trained on, in words; None where it does not.

        Args:
            saved: its fingerprint then; one text in the checkpoints of earlier versions.
            state: the fitted state then.
        """
        if isinstance(saved, dict):
            known = (self.fitted, self.added)
            fitted, new = ({f"{LEARNED}{name.replace('_', ' ')}" for name in names} for names in known)
            now = {name: digest for name, digest in self.fingerprint.items() if name in saved or name not in new}
            left = {name: digest for name, digest in saved.items() if not name.startswith(LEARNED) or name in fitted}
            return described(left, now) or None  # without what earlier versions fitted and this one does not
        if saved != self.earlier_fingerprint():
            return "its examples, or which split they are in"
        before = self._state_digests(state)
        return described(before, {name: self.fingerprint[name] for name in before}) or None

    def earlier_fingerprint(self) -> str:
        """The fingerprint as earlier versions saved it in checkpoints: these resume as long as it is the same."""
        digest = hashlib.sha256()
        for index in self.splits if self.is_set_up else ():
            digest.update(index.numpy().tobytes())
        known = None if self.is_embedded else self.earlier_identities()
        for identity in () if known is None else known:
            digest.update(identity if isinstance(identity, bytes) else repr(identity).encode())
        return digest.hexdigest()

    def earlier_identities(self) -> Iterable[Hashable] | None:
        """The hash of each example in the fingerprints of earlier versions."""
        return self.example_hashes()

    def warn_about_duplicates(self, splits: Splits) -> None:
        """Report examples of the validation and test splits that are also in the training split."""
        found = self.kept_fact("duplicates", lambda: self._duplicates(splits), *map(hash_numbers, splits))
        for split, twice in found.items():
            if twice:
                self.note(
                    f"{self.dataset}: {twice} of the {len(getattr(splits, split))} {self.hashed} of the {split} split "
                    f"are in the training split, too"
                )

    def _duplicates(self, splits: Splits) -> dict[str, int]:
        """How many examples of the validation and test splits are also in the training split."""
        known = self.example_hashes()
        if known is None:
            return {}
        hashes = known if isinstance(known, np.ndarray) else np.fromiter(map(hash, known), np.int64)
        seen = np.sort(hashes[splits.train.numpy()])  # smaller than a set
        return {
            "val": _count_in(seen, hashes[splits.val.numpy()]),
            "test": _count_in(seen, hashes[splits.test.numpy()]),
        }

    @property
    def data_key(self) -> list[object]:
        """What the data depends on, where that is known without hashing it; empty where it is not."""
        return [*self._read_from]

    @property
    def data_size(self) -> int:
        """Bytes of the data, as far as it has a `data_key`."""
        return self._read_bytes

    def kept_fact(self, what: str, make: Callable[[], Any], *settings: object) -> Any:
        """A fact about the data that takes long to compute, from an earlier run that read the same data.

        Args:
            what: its name.
            make: computes it, as plain types.
            settings: what it depends on besides the data.
        """
        return self.kept_part(what, lambda: Kept({}, make()), *settings).facts

    def kept_part(self, what: str, make: Callable[[], Kept], *settings: object) -> Kept:
        """Arrays, and perhaps facts, likewise: from an earlier run that read the same data."""
        if not self.data_key or not self.code:
            return make()
        key = [what, *self.data_key, *settings, *self.code, COMPUTED]
        return kept(make, key, self.data_size)

    @property
    def code(self) -> list[str]:
        """The class, and a digest of its code and that of its bases; empty where a class is in no file but a notebook.

        What a class has computed is not taken for what another one does that is derived from it.
        """
        modules = [sys.modules[each.__module__] for each in type(self).__mro__ if issubclass(each, DataModule)]
        is_known = all(getattr(module, "__file__", None) for module in modules)
        return [type(self).__qualname__, code_of(*modules)] if is_known else []

    def learning_key(self, train: Tensor, *settings: object) -> list[str] | None:
        """What is learned from the training examples depends on this; None if it is unknown, or they are few.

        Args:
            train: the training examples.
            settings: what it depends on besides.
        """
        if not self.data_key or not self.code or self.data_size < MIN_BYTES:
            return None
        return [*map(str, self.data_key), *self.code, hash_numbers(train), *map(str, settings)]

    def note(self, text: str) -> None:
        """Report something unexpected in the data that is no reason to stop."""
        for path, shown in self.shown_as.items():
            text = text.replace(path, shown)
        self.notes.append(text)
        if getattr(rank_zero_only, "rank", 0) == 0:
            print(f"note: {printable(text)}", file=sys.stderr)

    def state_dict(self) -> dict[str, Any]:
        """The state that was fitted to the training split, as plain types and tensors."""
        return {KEEPS_LAST: self.keeps_large_last_batch, **{name: getattr(self, name) for name in self.fitted}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of an earlier run, instead of fitting it again."""
        for name in self.fitted:
            setattr(self, name, {**self.added, **state_dict}[name])
        self.keeps_large_last_batch = bool(state_dict.get(KEEPS_LAST, False))
        self.restored = True

    def take_tokenizers(self, state: dict[str, Any]) -> None:
        """Take over the tokenizers that an earlier run trained on other data, if this data consists of texts.

        Args:
            state: of its datamodule.
        """

    @uncollected()
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

    def typed_example(self, text: str) -> str:
        """An input as a line of a file, from what is typed on the command line."""
        return " ".join(text.split())

    def typed_ending(self, content: bytes, as_json: bool) -> str:
        """The ending of a file with inputs that were typed or piped; empty where there is none for them."""
        return self.typed[as_json]

    def save_typed(self, content: bytes, folder: Path, option: str) -> Path:
        """A file for `set_input`, with inputs that were typed or piped.

        Args:
            content: lines of the text, or JSON lines.
            folder: to write it into.
            option: that gave it, for the message.

        Raises:
            DataError: this data is not read from a single file, or not from text.
        """
        as_json = re.match(rb"\s*(\{|\[\s*\{)", content) is not None
        ending = self.typed_ending(content, as_json)
        if not ending:
            form = "a line of text, not JSON" if self.typed[0] else self.typed_form
            raise DataError(f"{option}: expected {form or 'a file or folder, which --input names'}")
        if not content.strip():
            raise DataError(f"{option}: is empty")
        file = folder / f"input{ending}"
        file.write_bytes(content)
        self.shown_as = {str(file): option}
        return file

    def preview(self, batch: Any, max_images: int) -> Preview | None:
        """The first images of a training batch with their classes, for the loggers; None where there are no images."""
        return None

    def baselines(self) -> dict[str, Baseline]:
        """What a practitioner would otherwise fit to this data, by the names of their columns in the test's table."""
        return {}

    def export_inputs(self, model: nn.Module) -> ExportableModule:
        """A trained model whose inputs are the tensors that a batch of this data consists of.

        Raises:
            DataError: a batch is no tensor of features, and the datamodule does not say how to take it apart.
        """
        inputs, _ = self.examples(self.splits.test)[torch.arange(1)]
        if not isinstance(inputs, Tensor):
            raise DataError(
                f"--format: the inputs of {type(self).__name__} are {type(inputs).__name__}; expected a tensor, "
                f"or an export_inputs() of its own that takes them apart"
            )
        return ExportableFeatures(model, self)


def _count_in(known: NDArray[Any], values: NDArray[Any]) -> int:
    """How many of some values are among others, which are sorted and as many as there are."""
    if not len(known):
        return 0
    values = np.sort(values)  # so that successive ones are found near each other
    places = np.searchsorted(known, values).clip(max=len(known) - 1)
    return int((known[places] == values).sum())
