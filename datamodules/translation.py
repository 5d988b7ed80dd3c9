"""Pairs of sentences in two languages, as token ids."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from datamodules.augmentation.words import WordDropout
from datamodules.base import DataModule
from datamodules.baselines.baseline import Baseline
from datamodules.baselines.translation_memory import TranslationMemory
from datamodules.checking.facts import texts_at, tokens_fact
from datamodules.checking.neighbours import text_vectors
from datamodules.checking.suspicions import ALIKE_TEXTS, Compared
from datamodules.errors import DataError, check_probability
from datamodules.export.exportable import ExportableModule
from datamodules.files.encoding import known_encoding
from datamodules.files.sentence_pairs import (
    SentencePair,
    pair_files,
    parallel_file,
    read_pairs,
    read_parallel,
    read_sources,
)
from datamodules.files.splits import Note
from datamodules.loading.examples import Source
from datamodules.loading.groups import groups_of, split_together
from datamodules.loading.sampling import Splits, chosen
from datamodules.storage.catalogue import TRANSLATIONS, Remotes
from datamodules.storage.fingerprint import hash_files, hash_texts
from datamodules.storage.kept import Kept
from datamodules.storage.rows_of_files import read_rows
from datamodules.storage.stored_rows import Rows, StoredRows
from datamodules.storage.streaming import Repeatable
from datamodules.storage.token_cache import kept_ragged, shown_tokens, stored_parts, train_once
from datamodules.synthetic.phrases import phrases
from datamodules.tokenized import TextExamples, check_minimum, tokenizer_facts
from datamodules.tokenizing.tokens import (
    BEGIN,
    PAD,
    Ragged,
    Text,
    Tokens,
    new_translator_tokenizer,
    token_id,
    tokenizer_from_json,
)

Scoring = Literal["13a", "zh", "char"]

LANGUAGES = {"phrases": ("en", "zh"), "Multi30k": ("en", "de", "fr"), "Tatoeba": ("en", "zh")}
MULTI30K = {"train": "train", "val": "val", "test": "test_2016_flickr"}  # the file of each split, without its language


class Pair(NamedTuple):
    """A batch of sentences and their translations.

    Args:
        source: each with [EOS] at its end.
        target: each between [BOS] and [EOS].
    """

    source: Text
    target: Text


class ExportablePairs(ExportableModule):
    """Reads token ids of a sentence, and of its translation so far."""

    reads = "translations"

    def __init__(self, model: nn.Module, data: "Translation") -> None:
        super().__init__(model, data)
        self.inputs = {"source": ("batch", "tokens"), "lengths": ("batch",), "target": ("batch", "target_tokens")}

    def preprocessing(self) -> dict[str, Any]:
        """The tokenizer of the sentences."""
        tokenizer = tokenizer_from_json(self.data.source_tokenizer)
        return tokenizer_facts(tokenizer) | {"max_length": self.data.max_length}

    def tensors(self, batch: Any) -> tuple[Tensor, ...]:
        """The sentences, and their translations but for the last token."""
        return batch.source.ids, batch.source.lengths, batch.target.ids[:, :-1].contiguous()

    def forward(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:  # type: ignore[override]
        """Logits (B, T, V) of the token after each of the translation's."""
        further = torch.cat([target, target[:, :1]], dim=1)  # one more, which the network never reads
        return self.network(Pair(Text(source, lengths), Text(further, lengths)))


class PairExamples(Dataset[Any]):
    """Pairs of sentences; a batch is `(Pair, references)`, where the references are the translations as text.

    Args:
        source: token ids of all sources.
        target: token ids of all translations.
        pairs: all pairs as text.
        padding: the padding token's id in the sources, and in the translations.
        index: the pairs of this split.
    """

    def __init__(
        self,
        source: Ragged,
        target: Ragged,
        pairs: Rows[SentencePair],
        padding: tuple[int, int],
        index: Tensor,
    ) -> None:
        self.source = source
        self.target = target
        self.pairs = pairs
        self.padding = padding
        self.index = index
        sides = torch.stack([source.lengths[index], target.lengths[index]])
        # By the longer side, then by both: 9 % of a batch of Multi30k is padding; by the sum alone it is 23 %.
        self.lengths = sides.amax(0) * int(sides.sum(0).max() + 1) + sides.sum(0) if len(index) else sides[0]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Tensor) -> tuple[Pair, list[str]]:
        rows = self.index[index]
        pair = Pair(self.source.padded(rows, self.padding[0]), self.target.padded(rows, self.padding[1]))
        return pair, [self.pairs[row][1] for row in rows.tolist()]


def scoring_of(texts: Iterable[str]) -> Scoring:
    """The tokenizer of sacreBLEU for these texts: by characters for languages without spaces between words.

    Returns:
        `zh` if most letters are Chinese and hardly any Japanese, `char` if most belong to another script without
        spaces between words, otherwise `13a`, BLEU's default.
    """
    letters = [letter for letter in "".join(islice(texts, 1000)) if letter.isalpha()]
    han = sum("\u3400" <= letter <= "\u9fff" for letter in letters)
    kana = sum("\u3040" <= letter <= "\u30ff" for letter in letters)
    southern = sum("\u0e00" <= letter <= "\u0eff" or "\u1000" <= letter <= "\u109f" for letter in letters)
    if 2 * (han + kana + southern) <= len(letters):
        return "13a"
    return "zh" if han > 20 * (kana + southern) else "char"


class Translation(DataModule):
    """Sentences and their translations.

    A batch is `(Pair, references)`: token ids, and the translations as text. The tokenizers are learned from the
    training split: subwords, and single Chinese characters. Provides both tokenizers, and sacreBLEU's tokenizer for
    the translations. If your own files are large, neither sentences nor tokens are kept in memory.

    Args:
        dataset: a known data set; or the path of a table with a pair a line (.tsv, .csv); or of one of two parallel
            files such as train.en (then give the other's suffix as `target`); or of a folder of either, with the
            files of the splits called train, val and test. All may be packed as .gz.
        source: language to translate from: a suffix of the files, or the table's column (name or index).
        target: language to translate into.
        vocab_size: maximum number of tokens of a language.
        shared_vocabulary: learn one vocabulary for both languages, so that the model may share its embeddings.
        max_length: maximum number of tokens of a sentence; the rest is truncated. References are never truncated.
        num_phrases: number of generated phrases.
        word_dropout: probability that a token of a source is replaced, in training, by the unknown token.
        encoding: encoding of the files.
        kwargs: as for DataModule.
    """

    embedded: ClassVar[tuple[str, ...]] = ("phrases",)
    of_embedded: ClassVar[tuple[str, ...]] = ("num_phrases",)
    of_own: ClassVar[tuple[str, ...]] = ("encoding",)
    published: ClassVar[Remotes] = TRANSLATIONS
    provides: ClassVar[tuple[str, ...]] = ("source_tokenizer", "target_tokenizer", "scoring")
    fitted: ClassVar[tuple[str, ...]] = provides
    typed: ClassVar[tuple[str, str]] = ".txt", ""
    shapes_vary: ClassVar[bool] = True
    source_tokenizer: str
    target_tokenizer: str
    scoring: Scoring

    def __init__(
        self,
        dataset: str = "phrases",
        source: str | None = None,
        target: str | None = None,
        vocab_size: int = 8000,
        shared_vocabulary: bool = False,
        max_length: int = 200,
        num_phrases: int = 6000,
        word_dropout: float = 0.0,
        encoding: str = "utf-8",
        **kwargs: Any,
    ) -> None:
        super().__init__(dataset=dataset, **kwargs)
        check_minimum("vocab_size", vocab_size, 10)
        check_minimum("max_length", max_length, 2)
        check_minimum("num_phrases", num_phrases, 10)
        if source is not None and source == target:
            raise ValueError(f"--data.source {source} and --data.target {target}: expected two languages")
        check_probability("word_dropout", word_dropout)
        self.taken: tuple[str, str] | None = None  # an earlier run's tokenizers
        self.source = source
        self.target = target
        self.word_dropout = word_dropout
        self.vocab_size = vocab_size
        self.shared_vocabulary = shared_vocabulary
        self.max_length = max_length
        self.num_phrases = num_phrases
        self.encoding = known_encoding(encoding)
        self.pairs: Rows[SentencePair] = []
        self.files: list[Path] = []
        self._tokens: tuple[Ragged, Ragged] | None = None
        self._dropout: WordDropout | None = None

    def prepare_data(self) -> None:
        """Download what is missing."""
        if self.is_published:
            self._folder()

    def _folder(self) -> Path:
        if self.dataset == "Tatoeba":
            return self.folder_of(["cmn.txt"], name="tatoeba_en_zh")
        files = [f"{split}.{language}.gz" for split in ("train", "val") for language in self._languages()]
        return self.folder_of(files, name="task1")

    def _languages(self) -> tuple[str, str]:
        """The languages of a known data set to translate from and into."""
        known = LANGUAGES[self.dataset]
        for option, language in (("source", self.source), ("target", self.target)):
            if language not in (None, *known):
                raise DataError(f"--data.{option} {language}: {self.dataset} has {', '.join(known)}")
        source = self.source or next(language for language in known if language != self.target)
        return source, self.target or next(language for language in known if language != source)

    def read(self) -> Source:
        """Read all pairs, split by split where the data set has splits."""
        official: dict[str, Tensor] = {}
        columns = self.source, self.target
        if self.is_embedded or self.is_published:
            source, target = (LANGUAGES[self.dataset].index(language) for language in self._languages())
            columns = str(source), str(target)
        if self.is_embedded:
            self.pairs = [(phrase[source], phrase[target]) for phrase in phrases(self.num_phrases, self.split_seed)]
        else:
            encoding = "utf-8" if self.is_published else self.encoding

            def read(*paths: Path, note: Note) -> Iterator[SentencePair]:
                if len(paths) == 2:
                    return read_parallel(paths[0], paths[1], encoding, note)
                return read_pairs(paths[0], encoding, *columns, note)

            files = self._files()
            self.files = list(chain.from_iterable(files.values()))
            found = read_rows(files, read, [encoding, *columns], lambda row: (row[0], row[1]), self.code, self.note)
            self.pairs, official, self._read_from, self._read_bytes = found
        self._tokens = None
        return Source(len(self.pairs), official=official)

    def _files(self) -> dict[str, list[Path]]:
        """The table or the two parallel files of each split; of all under an empty name where there are no splits."""
        if self.dataset == "Tatoeba":
            return {"": [self._folder() / "cmn.txt"]}
        if self.is_published:
            folder, languages = self._folder(), self._languages()
            return {
                split: [parallel_file(folder, name, language) for language in languages]
                for split, name in MULTI30K.items()
                if split == "train" or any(folder.glob(f"{name}.*"))
            }
        return pair_files(self.path, self.source, self.target, self.note)

    def split(self, source: Source) -> Splits:
        """Split by distinct source sentences, so that none with several translations is in two splits."""
        if source.official:
            return super().split(source)
        groups = self.kept_part("groups", lambda: Kept({"groups": groups_of(self.example_hashes())})).arrays["groups"]
        return split_together(groups, super().split)

    def take_tokenizers(self, state: dict[str, Any]) -> None:
        """Use an earlier run's tokenizers."""
        if "source_tokenizer" in state:
            self.taken = state["source_tokenizer"], state["target_tokenizer"]

    def example_hashes(self) -> Iterator[str]:
        """The sources: the translation of one from training can be memorised."""
        return (source for source, _ in self.pairs)

    def facts(self) -> list[tuple[str, str]]:
        """The length of the sentences on both sides."""
        examples = self.examples(torch.arange(len(self.pairs)))
        return [
            ("source", tokens_fact(examples.source.lengths, self.max_length)),
            ("target", tokens_fact(examples.target.lengths, self.max_length)),
        ]

    def shown(self, row: int) -> tuple[str, str]:
        """A sentence and its translation."""
        source, target = self.pairs[row]
        return source, target

    def origin(self, row: int) -> str:
        """The number of a pair."""
        return f"pair {row + 1}"

    def as_vectors(self, rows: Tensor) -> Compared:
        """The sources by their words."""
        return Compared(text_vectors(texts_at(self.example_hashes(), rows)), ALIKE_TEXTS)

    def contents(self) -> dict[str, str]:
        """Hashes of both sides of the pairs; or of the files if these are large."""
        if isinstance(self.pairs, StoredRows):
            return hash_files(self.files)

        def digests() -> dict[str, str]:
            sides = {"sources": self.example_hashes(), "translations": (text for _, text in self.pairs)}
            return {name: hash_texts(texts) for name, texts in sides.items()}

        return cast("dict[str, str]", self.kept_fact("digests", digests))

    def fit(self, train: Tensor) -> None:
        """Learn the tokenizers; find sacreBLEU's tokenizer for the translations."""

        def side(index: int) -> Iterator[str]:
            return (pair[index] for pair in chosen(self.pairs, train))

        self.scoring = scoring_of(side(1))
        if self.taken is not None:
            self.source_tokenizer, self.target_tokenizer = self.taken
        elif self.shared_vocabulary:
            self.source_tokenizer = self._learned(lambda: chain(side(0), side(1)), "both", train)
            self.target_tokenizer = self.source_tokenizer
        else:
            self.source_tokenizer = self._learned(lambda: side(0), "source", train)
            self.target_tokenizer = self._learned(lambda: side(1), "target", train)

    def _learned(self, texts: Callable[[], Iterator[str]], side: str, index: Tensor) -> str:
        train = partial(new_translator_tokenizer, vocab_size=self.vocab_size)
        key = self.learning_key(index, side)
        return train_once(train, Repeatable(texts, key), "translator", self.vocab_size)

    def _encoded(self, side: int | None, rows: Rows[Any], key: Sequence[str], size: int, tokenizer_json: str) -> Ragged:
        """Token ids of one side of pairs, or of sentences; they are in a file if the rows are.

        Args:
            side: 0 for the sources, 1 for the translations, which also begin with a token; None for sentences.
            rows: pairs, or sentences.
            key: what the rows depend on.
            size: bytes of them.
            tokenizer_json: of this side.
        """

        def parts() -> Iterator[Tokens]:
            tokenizer = tokenizer_from_json(tokenizer_json)
            tokenizer.enable_truncation(self.max_length)
            texts = rows if side is None else (pair[side] for pair in rows)
            for values, lengths in shown_tokens(tokenizer, texts, len(rows), "sentences"):
                if side == 1:
                    values = np.insert(values, lengths.cumsum() - lengths, token_id(tokenizer, BEGIN))
                    lengths = lengths + 1
                yield values, lengths

        settings = [tokenizer_json, f"{self.max_length} {side}"]
        if isinstance(rows, StoredRows):
            return stored_parts(parts(), [*rows.key, *settings])
        return kept_ragged(lambda: Ragged.of_parts(parts()), [*key, *settings], size)

    def examples(self, index: Tensor) -> PairExamples:
        """The pairs at these indices."""
        source, target = tokenizer_from_json(self.source_tokenizer), tokenizer_from_json(self.target_tokenizer)
        if self._tokens is None:
            of = self.pairs, self._read_from, self._read_bytes
            self._tokens = self._encoded(0, *of, self.source_tokenizer), self._encoded(1, *of, self.target_tokenizer)
        padding = token_id(source, PAD), token_id(target, PAD)
        return PairExamples(*self._tokens, self.pairs, padding, index)

    def augmented(self, batch: Any) -> Any:
        """A training batch with words of the sources dropped."""
        if not self.word_dropout:
            return batch
        if self._dropout is None:
            self._dropout = WordDropout(tokenizer_from_json(self.source_tokenizer), self.word_dropout)
        pair, references = batch
        return pair._replace(source=self._dropout(pair.source)), references

    def baselines(self) -> dict[str, Baseline]:
        """The translation of the most similar sentence."""
        return {"memory": TranslationMemory(tokenizer_from_json(self.source_tokenizer).get_vocab_size())}

    def export_inputs(self, model: nn.Module) -> ExportableModule:
        """A trained model that reads sentences and their translations."""
        return ExportablePairs(model, self)

    def read_input(self, path: Path) -> tuple[TextExamples, Rows[str]]:
        """The sentences of a text file, one a line, or of a table; blank ones are left out."""
        if path.is_dir():
            raise DataError(f"--input {path}: expected a text file with a sentence a line, found a folder")

        def read(path: Path, note: Note) -> Iterator[str]:
            return read_sources(path, self.encoding, self.source, note)

        found = read_rows({"": [path]}, read, ["lines", self.encoding, self.source], str, self.code, self.note)
        padding = token_id(tokenizer_from_json(self.source_tokenizer), PAD)
        tokens = self._encoded(None, found.rows, found.key, found.size, self.source_tokenizer)
        return TextExamples(tokens, padding), found.rows
