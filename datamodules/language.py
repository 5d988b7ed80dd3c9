"""What data of language models have in common: a vocabulary, and rows of tokens of at most a window."""

from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar, cast

from tokenizers import Tokenizer
from torch import nn

from datamodules.base import DataModule
from datamodules.errors import DataError
from datamodules.export.exportable import ExportableModule
from datamodules.files.encoding import known_encoding
from datamodules.storage.token_cache import train_once
from datamodules.tokenized import check_minimum
from datamodules.tokenizing.language import END_OF_TEXT, Algorithm, Vocabulary, new_language_tokenizer
from datamodules.tokenizing.pretrained_language import pretrained_vocabulary
from datamodules.tokenizing.tokens import token_id, tokenizer_from_json

TRAINABLE = ("bpe", "characters", "bytes")


class LanguageData(DataModule):
    """Data of a language model: rows of tokens.

    Provides num_tokens (V), tokenizer_json, begin, end (the tokens before and after a text), chat_template, window, and
    checked: the name of the embedded data, of which generated texts can be judged; empty for other data.

    Args:
        dataset: a known data set, or the path of a file or folder.
        tokenizer: `bpe`, `characters` or `bytes`, learned from the training split; or a pretrained model's name or
            folder. A run that `--model.pretrained` names has its own.
        vocab_size: maximum number of tokens that are learned, for `bpe`.
        window: tokens of a row, which is what a model reads at once.
        encoding: encoding of the files.
        kwargs: as for DataModule.
    """

    provides: ClassVar[tuple[str, ...]] = (
        "num_tokens", "tokenizer_json", "begin", "end", "chat_template", "window", "checked",
    )  # fmt: skip
    fitted: ClassVar[tuple[str, ...]] = ("tokenizer_json", "begin", "end", "chat_template")
    of_own: ClassVar[tuple[str, ...]] = ("encoding",)
    min_window: ClassVar[int] = 8
    predicts_by_length: ClassVar[bool] = False  # the random numbers of a sampled text depend on its place in a batch
    tokenizer_json: str
    begin: int | None
    end: int
    chat_template: str

    def __init__(
        self,
        dataset: str,
        tokenizer: str = "bpe",
        vocab_size: int = 4096,
        window: int = 512,
        encoding: str = "utf-8",
        **kwargs: Any,
    ) -> None:
        super().__init__(dataset=dataset, **kwargs)
        check_minimum("vocab_size", vocab_size, 300)
        check_minimum("window", window, self.min_window)
        self.tokenizer = tokenizer
        self.vocab_size = vocab_size
        self.window = window
        self.encoding = known_encoding(encoding)
        self.taken: Vocabulary | None = None  # an earlier run's
        self._built: tuple[str, Tokenizer] | None = None

    @property
    def num_tokens(self) -> int:
        """V, the size of the vocabulary."""
        return self.built_tokenizer.get_vocab_size()

    @property
    def checked(self) -> str:
        """The name of the embedded data, of which generated texts can be judged; empty for other data."""
        return self.dataset if self.is_embedded else ""

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokenizer, and what its special tokens mean."""
        return Vocabulary(self.tokenizer_json, self.begin, self.end, self.chat_template)

    @property
    def built_tokenizer(self) -> Tokenizer:
        """The tokenizer that was learned or loaded; to it, special tokens in a text are text."""
        if self._built is None or self._built[0] != self.tokenizer_json:
            self._built = self.tokenizer_json, tokenizer_from_json(self.tokenizer_json)
            self._built[1].encode_special_tokens = True
        return self._built[1]

    def without_effect(self) -> dict[str, str]:
        """The options that change nothing about this data, and why."""
        found = super().without_effect()
        if self.taken is not None:
            found |= dict.fromkeys(("tokenizer", "vocab_size"), "the tokenizer is that of --model.pretrained")
        elif self.tokenizer not in TRAINABLE:
            found["vocab_size"] = "a pretrained tokenizer has its own"
        elif self.tokenizer != "bpe":
            found["vocab_size"] = f"with --data.tokenizer {self.tokenizer} there are as many tokens as {self.tokenizer}"
        return found

    def take_tokenizers(self, state: dict[str, Any]) -> None:
        """Use the vocabulary of an earlier run of a language model."""
        if {*Vocabulary._fields} <= {*state}:
            self.taken = Vocabulary(*(state[name] for name in Vocabulary._fields))

    def find_vocabulary(self, texts: Iterable[str]) -> None:
        """Take over a vocabulary, load a model's, or learn one from texts of the training split."""
        if self.taken is not None:
            found = self.taken
        elif self.tokenizer in TRAINABLE:
            train = partial(new_language_tokenizer, cast(Algorithm, self.tokenizer), vocab_size=self.vocab_size)
            learned = train_once(train, texts, "language", self.tokenizer, self.vocab_size)
            end = token_id(tokenizer_from_json(learned), END_OF_TEXT)
            found = Vocabulary(learned, end, end)
        else:
            found = pretrained_vocabulary(self.tokenizer)
        self.tokenizer_json, self.begin, self.end, self.chat_template = found

    def export_inputs(self, model: nn.Module) -> ExportableModule:
        """None: what serves a language model generates."""
        raise DataError("--format: of language models expected huggingface, a folder that what serves them reads")
