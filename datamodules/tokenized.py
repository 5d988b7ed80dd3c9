"""What data whose examples are texts have in common: files for each split, and a tokenizer."""

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from datamodules.augmentation.words import WordDropout
from datamodules.base import DataModule
from datamodules.errors import check_probability
from datamodules.export.exportable import ExportableModule
from datamodules.files.encoding import known_encoding
from datamodules.files.splits import split_files
from datamodules.storage.token_cache import train_once
from datamodules.tokenizing.tokens import (
    UNKNOWN,
    Ragged,
    Text,
    new_tokenizer,
    padding_id,
    pretrained_tokenizer,
    tokenizer_from_json,
)


class PublishedFiles(NamedTuple):
    """Where a published data set keeps its texts.

    Args:
        folder: another name of its folder.
        files: the file of each split; of each class, or of all under an empty name, where it has no splits.
        encoding: encoding of the files.
        others: further files that it needs.
    """

    folder: str
    files: dict[str, str]
    encoding: str = "utf-8"
    others: tuple[str, ...] = ()


class TextExamples(Dataset[Any]):
    """Texts as token ids; a batch is `(Text, target)`, or a Text if there are no labels.

    Args:
        tokens: token ids of all texts.
        padding: the padding token's id.
        labels: (N,) classes of all texts; None for predictions.
        index: the texts of this split; all of them by default.
    """

    def __init__(self, tokens: Ragged, padding: int, labels: Tensor | None = None, index: Tensor | None = None) -> None:
        self.tokens = tokens
        self.padding = padding
        self.labels = labels
        self.index = torch.arange(len(tokens)) if index is None else index
        self.lengths = tokens.lengths[self.index]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Tensor) -> Any:
        rows = self.index[index]
        text = self.tokens.padded(rows, self.padding)
        return text if self.labels is None else (text, self.labels[rows])


class ExportableText(ExportableModule):
    """Reads token ids; where a recurrent layer reads them, all texts are padded to the maximum length.

    torch unrolls the steps of such a layer, and so for one number of them.
    """

    reads = "texts"
    data: "TokenizedData"

    def __init__(self, model: nn.Module, data: "TokenizedData") -> None:
        super().__init__(model, data)
        recurrent = any(isinstance(part, nn.RNNBase) for part in model.modules())
        self.length = data.max_length if recurrent else None
        self.inputs = {"ids": ("batch", self.length or "tokens"), "lengths": ("batch",)}

    def preprocessing(self) -> dict[str, Any]:
        """The tokenizer; a text without any token is the unknown one."""
        return tokenizer_facts(self.data.built_tokenizer) | {
            "max_length": self.data.max_length,
            "padded_to": self.length,
            "column": getattr(self.data, "text_name", "") or "text",
        }

    def tensors(self, batch: Any) -> tuple[Tensor, ...]:
        """Token ids and lengths."""
        missing = 0 if self.length is None else self.length - batch.ids.shape[1]
        return F.pad(batch.ids, (0, missing), value=self.data.padding), batch.lengths

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:  # type: ignore[override]
        """Logits (B, C)."""
        return self.network(Text(ids, lengths))


class TokenizedData(DataModule):
    """Texts as token ids. The tokenizer is learned from the training split, or is a pretrained model's.

    Provides num_tokens (V), padding (the padding token's id) and max_length.

    Args:
        dataset: a known data set, or the path of your own files.
        tokenizer: `wordpiece` or, where the data allows it, `words` (Chinese: characters), learned from the training
            split; or a pretrained model's name or folder.
        vocab_size: maximum number of tokens that are learned.
        max_length: maximum number of tokens in a sequence that the model reads.
        word_dropout: probability that a token is replaced, in training, by the unknown or the mask token.
        encoding: encoding of the files.
        kwargs: as for DataModule.
    """

    provides: ClassVar[tuple[str, ...]] = ("num_tokens", "padding", "max_length")
    fitted: ClassVar[tuple[str, ...]] = ("tokenizer_json",)
    of_own: ClassVar[tuple[str, ...]] = ("encoding",)
    trainable: ClassVar[tuple[str, ...]] = ("words", "wordpiece")  # tokenizers
    published_files: ClassVar[dict[str, PublishedFiles]] = {}
    suffixes: ClassVar[tuple[str, ...]]  # of your own files
    min_length: ClassVar[int] = 4
    shapes_vary: ClassVar[bool] = True

    def __init__(
        self,
        dataset: str,
        tokenizer: str = "wordpiece",
        vocab_size: int = 8000,
        max_length: int = 128,
        word_dropout: float = 0.0,
        encoding: str = "utf-8",
        **kwargs: Any,
    ) -> None:
        super().__init__(dataset=dataset, **kwargs)
        check_minimum("vocab_size", vocab_size, 10)
        check_minimum("max_length", max_length, self.min_length)
        check_probability("word_dropout", word_dropout)
        self.tokenizer = tokenizer
        self.word_dropout = word_dropout
        self.vocab_size = vocab_size
        self.max_length = max_length
        self.encoding = known_encoding(encoding)
        self.tokenizer_json = ""
        self.files: dict[str, Path] = {}
        self.taken = ""  # an earlier run's tokenizer
        self._built: Tokenizer | None = None
        self._dropout: WordDropout | None = None

    @property
    def num_tokens(self) -> int:
        """V, the size of the vocabulary."""
        return self.built_tokenizer.get_vocab_size()

    @property
    def padding(self) -> int:
        """The padding token's id."""
        return padding_id(self.built_tokenizer)

    @property
    def built_tokenizer(self) -> Tokenizer:
        """The tokenizer that was learned or loaded."""
        if self._built is None:
            self._built = tokenizer_from_json(self.tokenizer_json)
        return self._built

    def without_effect(self) -> dict[str, str]:
        """The options that change nothing about this data, and why."""
        found = super().without_effect()
        if self.tokenizer not in self.trainable:
            found["vocab_size"] = "a pretrained tokenizer has its own"
        return found

    def prepare_data(self) -> None:
        """Download what is missing."""
        if self.is_published:
            self.published_folder()

    def published_folder(self) -> Path:
        """The folder of a published data set."""
        known = self.published_files[self.dataset]
        return self.folder_of([*known.files.values(), *known.others], known.folder)

    def find_files(self) -> dict[str, Path]:
        """The file of each split; of all splits under an empty name where there are none."""
        if self.is_published:
            folder = self.published_folder()
            return {split: folder / name for split, name in self.published_files[self.dataset].files.items()}
        return split_files(self.path, self.suffixes, self.note) if self.path.is_dir() else {"": self.path}

    def take_tokenizers(self, learned: dict[str, Any]) -> None:
        """Use an earlier run's tokenizer."""
        self.taken = learned.get("tokenizer_json", "")

    def train_tokenizer(self, texts: Iterable[str]) -> None:
        """Load a model's tokenizer, or learn one from texts of the training split, which are iterated several times."""
        if self.taken:
            self.tokenizer_json = self.taken
        elif self.tokenizer in self.trainable:
            train = partial(new_tokenizer, self.tokenizer, vocab_size=self.vocab_size)
            self.tokenizer_json = train_once(train, texts, self.tokenizer, self.vocab_size)
        else:
            self.tokenizer_json = pretrained_tokenizer(self.tokenizer).to_str()
        self._built = None

    def setup(self, stage: str | None = None) -> None:
        """Read, split and learn; find the token that replaces a dropped one."""
        super().setup(stage)
        if self.word_dropout:
            pretrained = self.tokenizer not in self.trainable
            self._dropout = WordDropout(self.built_tokenizer, self.word_dropout, pretrained)

    def export_inputs(self, model: nn.Module) -> ExportableModule:
        """A trained model that reads token ids."""
        return ExportableText(model, self)

    def augmented(self, batch: Any) -> Any:
        """A training batch with words dropped."""
        if self._dropout is None:
            return batch
        text, target = batch
        return self._dropout(text), target


def tokenizer_facts(tokenizer: Tokenizer) -> dict[str, Any]:
    """A tokenizer, and its tokens for the padding and for what has none."""
    unknown, padding = tokenizer.token_to_id(UNKNOWN), padding_id(tokenizer)
    facts = {"unknown": padding if unknown is None else unknown, "padding": padding}
    return {"tokenizer": json.loads(tokenizer.to_str()), **facts}


def check_minimum(option: str, value: int, minimum: int) -> None:
    """Refuse an option of the data below its minimum.

    Raises:
        ValueError: it is.
    """
    if value < minimum:
        raise ValueError(f"--data.{option}: expected at least {minimum}, got {value}")
