"""Data whose examples are texts, cut into tokens."""

from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar

from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from datamodules.augmentation.words import WordDropout
from datamodules.base import DataModule
from datamodules.errors import check_probability
from datamodules.export.exportable import ExportableModule
from datamodules.files.encoding import known_encoding
from datamodules.storage.token_cache import train_once
from datamodules.tokenizing.tokens import Text, from_text, new_tokenizer, padding_of, pretrained_tokenizer


class ExportableText(ExportableModule):
    """Reads token ids; where a recurrent layer reads them, all texts are padded to the maximum length.

    torch unrolls the steps of such a layer, and so for one number of them.
    """

    data: "TokenizedData"

    def __init__(self, model: nn.Module, data: "TokenizedData") -> None:
        super().__init__(model, data)
        recurrent = any(isinstance(part, nn.RNNBase) for part in model.modules())
        self.length = data.max_length if recurrent else None
        self.inputs = {"ids": ("batch", self.length or "tokens"), "lengths": ("batch",)}

    def tensors(self, batch: Any) -> tuple[Tensor, ...]:
        """Token ids and lengths."""
        missing = 0 if self.length is None else self.length - batch.ids.shape[1]
        return F.pad(batch.ids, (0, missing), value=self.data.padding), batch.lengths

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:  # type: ignore[override]
        """Logits (B, C)."""
        return self.network(Text(ids, lengths))


class TokenizedData(DataModule):
    """Texts as token numbers. The tokenizer is learned on the training split, or it is a pretrained model's.

    Provides num_tokens (V), padding (the number of the padding token) and max_length.

    Args:
        dataset: a known data set, or the path of your own files.
        tokenizer: `wordpiece` or, where the data allows it, `words` (Chinese: characters), learned on the training
            split; or a pretrained model's name or folder.
        vocab_size: most tokens that are learned.
        max_length: tokens that the model reads at once.
        word_dropout: chance of each token to be replaced, in training, by one that says nothing.
        encoding: of the files.
        kwargs: as for DataModule.
    """

    provides: ClassVar[tuple[str, ...]] = ("num_tokens", "padding", "max_length")
    learned: ClassVar[tuple[str, ...]] = ("tokenizer_json",)
    learnable: ClassVar[tuple[str, ...]] = ("words", "wordpiece")
    least_length: ClassVar[int] = 4
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
        at_least("vocab_size", vocab_size, 10)
        at_least("max_length", max_length, self.least_length)
        check_probability("word_dropout", word_dropout)
        self.tokenizer = tokenizer
        self.word_dropout = word_dropout
        self.vocab_size = vocab_size
        self.max_length = max_length
        self.encoding = known_encoding(encoding)
        self.tokenizer_json = ""
        self.taken = ""  # an earlier run's tokenizer
        self._built: Tokenizer | None = None
        self._dropout: WordDropout | None = None

    @property
    def num_tokens(self) -> int:
        """V, the size of the vocabulary."""
        return self.built_tokenizer.get_vocab_size()

    @property
    def padding(self) -> int:
        """Number of the padding token."""
        return padding_of(self.built_tokenizer)

    @property
    def built_tokenizer(self) -> Tokenizer:
        """The tokenizer that was learned or loaded."""
        if self._built is None:
            self._built = from_text(self.tokenizer_json)
        return self._built

    def take_tokenizers(self, learned: dict[str, Any]) -> None:
        """Use an earlier run's tokenizer."""
        self.taken = learned.get("tokenizer_json", "")

    def train_tokenizer(self, texts: Iterable[str]) -> None:
        """Load a model's tokenizer, or learn one from texts of the training split, gone through several times."""
        if self.taken:
            self.tokenizer_json = self.taken
        elif self.tokenizer in self.learnable:
            learn = partial(new_tokenizer, self.tokenizer, vocab_size=self.vocab_size)
            self.tokenizer_json = train_once(learn, texts, self.tokenizer, self.vocab_size)
        else:
            self.tokenizer_json = pretrained_tokenizer(self.tokenizer).to_str()
        self._built = None

    def setup(self, stage: str | None = None) -> None:
        """Read, split and learn; find what a dropped word is replaced by."""
        super().setup(stage)
        if self.word_dropout:
            pretrained = self.tokenizer not in self.learnable
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


def at_least(option: str, value: int, least: int) -> None:
    """Refuse a number of the data's options that is too small.

    Raises:
        ValueError: it is.
    """
    if value < least:
        raise ValueError(f"--data.{option}: expected at least {least}, got {value}")
