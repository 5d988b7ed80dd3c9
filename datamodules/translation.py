"""Pairs of sentences in two languages, as token numbers."""

import csv
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from xxhash import xxh3_64_intdigest

from datamodules.augmentation.words import WordDropout
from datamodules.base import DataModule
from datamodules.errors import check_probability
from datamodules.export.exportable import ExportableModule
from datamodules.files.encoding import known_encoding
from datamodules.files.text_files import LONGEST_FIELD, Repeatable, Row, lines_of
from datamodules.loading.examples import Source
from datamodules.loading.sampling import Splits, chosen
from datamodules.storage.catalogue import TRANSLATIONS, Remotes
from datamodules.storage.download import DataError
from datamodules.storage.fingerprint import hash_files, hash_texts
from datamodules.storage.stored_rows import StoredRows, read_rows
from datamodules.storage.token_cache import stored, train_once
from datamodules.synthetic.phrases import phrases
from datamodules.tokenizing.tokens import BEGIN, PAD, Ragged, Text, encodings, new_translator_tokenizer, number_of
from datamodules.tokenizing.tokens import from_text as tokenizer_from

Sentences = tuple[str, str]  # in both languages
Scoring = Literal["13a", "zh", "char"]

LANGUAGES = {"phrases": ("en", "zh"), "Multi30k": ("en", "de", "fr"), "Tatoeba": ("en", "zh")}
TABLE_FILES = (".tsv", ".csv", ".txt", ".tsv.gz", ".csv.gz", ".txt.gz")
SPLITS = {"train": ("train",), "val": ("val", "valid", "dev"), "test": ("test", "test_2016_flickr")}  # files are called


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

    def __init__(self, model: nn.Module, data: "Translation") -> None:
        super().__init__(model, data)
        self.inputs = {"source": ("batch", "tokens"), "lengths": ("batch",), "target": ("batch", "target_tokens")}

    def tensors(self, batch: Any) -> tuple[Tensor, ...]:
        """The sentences, and their translations but for the last token."""
        return batch.source.ids, batch.source.lengths, batch.target.ids[:, :-1].contiguous()

    def forward(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:  # type: ignore[override]
        """Logits (B, T, V) of the token after each of the translation's."""
        further = torch.cat([target, target[:, :1]], dim=1)  # one more, which the network never reads
        return self.network(Pair(Text(source, lengths), Text(further, lengths)))


class PairExamples(Dataset[Any]):
    """Some pairs of sentences; a batch is `(Pair, references)`, the references being the translations as text.

    Args:
        source: token numbers of all sources.
        target: of all translations.
        pairs: all pairs as text.
        padding: the padding token's number in the sources, and in the translations.
        index: the pairs that make this split.
    """

    def __init__(
        self,
        source: Ragged,
        target: Ragged,
        pairs: list[Sentences] | StoredRows[Sentences],
        padding: tuple[int, int],
        index: Tensor,
    ) -> None:
        self.source = source
        self.target = target
        self.pairs = pairs
        self.padding = padding
        self.index = index
        sides = torch.stack([source.lengths[index], target.lengths[index]])
        # By the longer side, then by both: 9 % of a batch of Multi30k's is padding, by their sum alone it were 23 %.
        self.lengths = sides.amax(0) * int(sides.sum(0).max() + 1) + sides.sum(0) if len(index) else sides[0]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Tensor) -> tuple[Pair, list[str]]:
        rows = self.index[index]
        pair = Pair(self.source.padded(rows, self.padding[0]), self.target.padded(rows, self.padding[1]))
        return pair, [self.pairs[row][1] for row in rows.tolist()]


class SourceExamples(Dataset[Any]):
    """Sentences to be translated; a batch is a Text.

    Args:
        source: their token numbers.
        padding: the padding token's number.
    """

    def __init__(self, source: Ragged, padding: int) -> None:
        self.source = source
        self.padding = padding

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: Tensor) -> Text:
        return self.source.padded(index, self.padding)


def sentences_of(path: Path, encoding: str) -> Iterator[str]:
    """The lines of a text file, unpacked from `.gz`, without blank lines at the end.

    Raises:
        DataError: the file is empty, damaged, or not text in that encoding.
    """
    blank = 0
    for line in lines_of(path, encoding):
        line = line.rstrip("\r\n")
        if line:
            yield from [""] * blank
            yield line
        blank = 0 if line else blank + 1


def read_parallel(source: Path, target: Path, encoding: str) -> Iterator[Sentences]:
    """Pairs of two files that have a sentence a line.

    Raises:
        DataError: a file is empty, they differ in length, or a sentence has no counterpart.
    """
    sides = zip_longest(sentences_of(source, encoding), sentences_of(target, encoding))
    for number, (one, other) in enumerate(sides, 1):
        if one is None or other is None:
            sizes = [sum(1 for _ in sentences_of(path, encoding)) for path in (source, target)]
            raise DataError(f"{target}: expected {sizes[0]} lines as in {source.name}, found {sizes[1]}")
        yield from _pair(one.strip(), other.strip(), target, number)


def read_pairs(path: Path, encoding: str, source: str | None, target: str | None) -> Iterator[Sentences]:
    """Pairs of two columns of a table: separated by tabs and never quoted, or, in a `.csv`, by commas and quoted.

    Args:
        path: the file.
        encoding: its encoding.
        source: name, if the first line has names, or position from 0 of the source's column; the first by default.
        target: of the translation's column; the second by default.

    Raises:
        DataError: the file is empty or ragged (with the line), or has no such column.
    """
    lines = sentences_of(path, encoding)
    if path.name.endswith((".csv", ".csv.gz")):
        csv.field_size_limit(LONGEST_FIELD)
        reader = csv.reader(f"{line}\n" for line in lines)
        rows: Iterator[Row] = ((reader.line_num, row) for row in reader if row)
    else:
        rows = ((number, line.split("\t")) for number, line in enumerate(lines, 1) if line.strip())
    line, row = next(rows)
    first = [cell.strip() for cell in row]
    if len(first) < 2:
        raise DataError(f"{path}:1: expected a sentence and its translation, separated by a tab (in a .csv, a comma)")
    columns = []
    for option, named, position in (("source", source, 0), ("target", target, 1)):
        if named is None or named in first:
            columns.append(position if named is None else first.index(named))
        elif named.isdecimal() and int(named) < len(first):
            columns.append(int(named))
        else:
            raise DataError(
                f"--data.{option} {named}: {path} has no such column; its first line has {' | '.join(first)}"
            )
    if source not in first and target not in first:
        rows = chain([(line, row)], rows)
    for number, cells in rows:
        if len(cells) != len(first):
            raise DataError(f"{path}:{number}: expected {len(first)} fields as in the first line, found {len(cells)}")
        yield from _pair(cells[columns[0]].strip(), cells[columns[1]].strip(), path, number)


def _pair(source: str, target: str, path: Path, number: int) -> list[Sentences]:
    """A pair, or nothing if both sides are blank."""
    if bool(source) != bool(target):
        raise DataError(f"{path}:{number}: one side of the pair is blank: {source or target}")
    return [(source, target)] if source else []


def scoring_of(texts: Iterable[str]) -> Scoring:
    """How sacreBLEU is to cut texts of this kind into words: Chinese and other languages without spaces by characters.

    Returns:
        `zh` where most letters are Chinese and none Japanese, `char` where most belong to another script that sets no
        spaces between words, `13a`, BLEU's usual way, elsewhere.
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

    A batch is `(Pair, references)`: token numbers, and the translations as text. The tokenizers are learned from the
    training split: pieces of words, and single Chinese characters. Provides both tokenizers, and how BLEU is to cut
    the translations into words. Where your own files are large, neither sentences nor tokens are held in memory.

    Args:
        dataset: a known data set; or the path of a table with a pair a line (.tsv, .csv); or of one of two parallel
            files such as train.en (then name the other's ending as `target`); or of a folder of either kind, with the
            files of a split called train, val and test. All may be packed as .gz.
        source: language to translate from: an ending of the files' names, or the table's column (name or position).
        target: language to translate into.
        vocab_size: most tokens of a language.
        shared_vocabulary: learn one vocabulary for both languages, which the model may then share as well.
        max_length: longer sentences are cut to this number of tokens; what BLEU compares with is never cut.
        num_phrases: number of generated phrases.
        word_dropout: chance of each token of a source to be replaced, in training, by the unknown token.
        encoding: of the files.
        kwargs: as for DataModule.
    """

    embedded: ClassVar[tuple[str, ...]] = ("phrases",)
    published: ClassVar[Remotes] = TRANSLATIONS
    provides: ClassVar[tuple[str, ...]] = ("source_tokenizer", "target_tokenizer", "scoring")
    learned: ClassVar[tuple[str, ...]] = provides
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
        for name, number, least in (
            ("vocab_size", vocab_size, 10), ("max_length", max_length, 2), ("num_phrases", num_phrases, 10)
        ):  # fmt: skip
            if number < least:
                raise ValueError(f"--data.{name}: expected at least {least}, got {number}")
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
        self.pairs: list[Sentences] | StoredRows[Sentences] = []
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
        """The languages of a known data set that are wanted."""
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
            places = [LANGUAGES[self.dataset].index(language) for language in self._languages()]
            columns = str(places[0]), str(places[1])
        if self.is_embedded:
            sides = phrases(self.num_phrases, self.split_seed)
            self.pairs = [(phrase[places[0]], phrase[places[1]]) for phrase in sides]
        else:
            encoding = "utf-8" if self.is_published else self.encoding

            def read(*paths: Path) -> Iterator[Sentences]:
                if len(paths) == 2:
                    return read_parallel(paths[0], paths[1], encoding)
                return read_pairs(paths[0], encoding, *columns)

            files = self._files()
            self.files = list(chain.from_iterable(files.values()))
            self.pairs, official = read_rows(files, read, [encoding, *columns], made=tuple)
        self._tokens = None
        return Source(len(self.pairs), official=official)

    def _files(self) -> dict[str, list[Path]]:
        """The table or the two parallel files of each split; of all under an empty name where there are no splits."""
        if self.dataset == "Tatoeba":
            return {"": [self._folder() / "cmn.txt"]}
        if self.is_published:
            return self._split_files(self._folder(), self._languages())
        if self.path.is_dir():
            return self._folder_files(self.path)
        if self.path.name.endswith(TABLE_FILES):
            return {"": [self.path]}
        stem, _, source = self.path.name.removesuffix(".gz").rpartition(".")
        if not stem or self.target is None or self.source not in (None, source):
            raise DataError(
                f"{self.path}: expected a table (.tsv or .csv), or one of two parallel files such as train.en, "
                f"with the other's ending as --data.target"
            )
        return {"": [self.path, _existing(self.path.parent, stem, self.target)]}

    def _folder_files(self, folder: Path) -> dict[str, list[Path]]:
        tables = {
            split: [table]
            for split, names in SPLITS.items()
            for name in names
            for ending in TABLE_FILES
            if (table := folder / f"{name}{ending}").is_file()
        }
        if "train" in tables:
            return tables
        files = (file for file in folder.iterdir() if file.is_file())
        names = [file.name.removesuffix(".gz").rpartition(".") for file in files]
        languages = sorted({language for name, _, language in names if name in SPLITS["train"]})
        if not languages:
            raise DataError(f"{folder}: expected train.tsv, or two parallel files such as train.en and train.zh")
        if self.source is None or self.target is None:
            raise DataError(
                f"{folder}: has train.{' and train.'.join(languages)}; say with --data.source and --data.target "
                f"from which to translate into which"
            )
        return self._split_files(folder, (self.source, self.target))

    def _split_files(self, folder: Path, languages: tuple[str, str]) -> dict[str, list[Path]]:
        return {
            split: [_existing(folder, name, language) for language in languages]
            for split, names in SPLITS.items()
            for name in names
            if name == "train" or any(_possible(folder, name, language) for language in languages)
        }

    def split(self, source: Source) -> Splits:
        """Cut by distinct source sentences, so that none with several translations stands in two splits."""
        if source.official:
            return super().split(source)
        digests = (xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")) for text in self.example_hashes())
        hashes = np.fromiter(digests, np.uint64)  # no dictionary of what may be large; the same in every process
        _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
        number = torch.from_numpy(first.argsort().argsort()[group])  # in the order in which they first appear
        cut = super().split(Source(len(first)))
        return Splits(*(torch.isin(number, part).nonzero().flatten() for part in cut))

    def take_tokenizers(self, learned: dict[str, Any]) -> None:
        """Use an earlier run's tokenizers."""
        if "source_tokenizer" in learned:
            self.taken = learned["source_tokenizer"], learned["target_tokenizer"]

    def example_hashes(self) -> Iterator[str]:
        """The sources: the translation of one from training can be had by heart."""
        return (source for source, _ in self.pairs)

    def contents(self) -> dict[str, str]:
        """Of both sides of the pairs; or of the files where these are large."""
        if isinstance(self.pairs, StoredRows):
            return hash_files(self.files)
        return {
            "sources": hash_texts(self.example_hashes()),
            "translations": hash_texts(text for _, text in self.pairs),
        }

    def fit(self, train: Tensor) -> None:
        """Learn the tokenizers, and what kind of script the translations are in."""

        def side(place: int) -> Iterator[str]:
            return (pair[place] for pair in chosen(self.pairs, train))

        self.scoring = scoring_of(side(1))
        if self.taken is not None:
            self.source_tokenizer, self.target_tokenizer = self.taken
        elif self.shared_vocabulary:
            self.source_tokenizer = self._learned(lambda: chain(side(0), side(1)))
            self.target_tokenizer = self.source_tokenizer
        else:
            self.source_tokenizer = self._learned(lambda: side(0))
            self.target_tokenizer = self._learned(lambda: side(1))

    def _learned(self, texts: Callable[[], Iterator[str]]) -> str:
        learn = partial(new_translator_tokenizer, vocab_size=self.vocab_size)
        return train_once(learn, Repeatable(texts), "translator", self.vocab_size)

    def _encoded(self, texts: Iterable[str], rows: Any, tokenizer_json: str, begin: bool = False) -> Ragged:
        """Token numbers of the texts that rows have; they are in a file if the rows are."""
        tokenizer = tokenizer_from(tokenizer_json)
        tokenizer.enable_truncation(self.max_length)
        first = [number_of(tokenizer, BEGIN)] if begin else []
        sequences = (first + encoding.ids for encoding in encodings(tokenizer, texts))
        if isinstance(rows, StoredRows):
            return stored(sequences, [*rows.key, tokenizer_json, f"{self.max_length} {begin}"])
        return Ragged(sequences)

    def examples(self, index: Tensor) -> PairExamples:
        """The pairs at these indices."""
        source, target = tokenizer_from(self.source_tokenizer), tokenizer_from(self.target_tokenizer)
        if self._tokens is None:
            self._tokens = (
                self._encoded((pair[0] for pair in self.pairs), self.pairs, self.source_tokenizer),
                self._encoded((pair[1] for pair in self.pairs), self.pairs, self.target_tokenizer, begin=True),
            )
        padding = number_of(source, PAD), number_of(target, PAD)
        return PairExamples(*self._tokens, self.pairs, padding, index)

    def augmented(self, batch: Any) -> Any:
        """A training batch with words of the sources dropped."""
        if not self.word_dropout:
            return batch
        if self._dropout is None:
            self._dropout = WordDropout(tokenizer_from(self.source_tokenizer), self.word_dropout)
        pair, references = batch
        return pair._replace(source=self._dropout(pair.source)), references

    def export_inputs(self, model: nn.Module) -> ExportableModule:
        """A trained model that reads sentences and their translations."""
        return ExportablePairs(model, self)

    def read_input(self, path: Path) -> tuple[SourceExamples, list[str] | StoredRows[str]]:
        """The sentences of a text file, one a line; blank lines are left out."""
        if path.is_dir():
            raise DataError(f"--input {path}: expected a text file with a sentence a line, found a folder")
        lines, _ = read_rows({"": [path]}, self._sentences, ["lines", self.encoding], made=str)
        padding = number_of(tokenizer_from(self.source_tokenizer), PAD)
        return SourceExamples(self._encoded(lines, lines, self.source_tokenizer), padding), lines

    def _sentences(self, path: Path) -> Iterator[str]:
        return (line.strip() for line in sentences_of(path, self.encoding) if line.strip())


def _possible(folder: Path, name: str, language: str) -> list[Path]:
    paths = (folder / f"{name}.{language}", folder / f"{name}.{language}.gz")
    return [path for path in paths if path.is_file()]


def _existing(folder: Path, name: str, language: str) -> Path:
    """The file of a language.

    Raises:
        DataError: it is not there.
    """
    found = _possible(folder, name, language)
    if not found:
        raise DataError(
            f"{folder / name}.{language}: there is no such file; expected a sentence a line, as in its counterpart"
        )
    return found[0]
