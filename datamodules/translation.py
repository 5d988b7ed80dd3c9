"""Pairs of sentences in two languages, as token numbers."""

import csv
import gzip
import io
import zlib
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.base import DataModule
from datamodules.download import DataError
from datamodules.encoding import decoded, known_encoding
from datamodules.examples import Source
from datamodules.phrases import phrases
from datamodules.sampling import Splits
from datamodules.tokens import BEGIN, PAD, Ragged, Text, new_translator_tokenizer, number_of
from datamodules.tokens import from_text as tokenizer_from

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


class PairExamples(Dataset[Any]):
    """Some pairs of sentences; a batch is `(Pair, references)`, the references being the translations as text.

    Args:
        source: token numbers of all sources.
        target: of all translations.
        references: all translations.
        padding: the padding token's number in the sources, and in the translations.
        index: the pairs that make this split.
    """

    def __init__(
        self, source: Ragged, target: Ragged, references: list[str], padding: tuple[int, int], index: Tensor
    ) -> None:
        self.source = source
        self.target = target
        self.references = references
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
        return pair, [self.references[row] for row in rows.tolist()]


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


def read_lines(path: Path, encoding: str) -> list[str]:
    """The lines of a text file, unpacked from `.gz`, without blank lines at the end.

    Raises:
        DataError: the file is empty, damaged, or not text in that encoding.
    """
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path}: a damaged archive ({error})") from None
    text = decoded(content, encoding, path).rstrip("\r\n")
    if not text.strip():
        raise DataError(f"{path}: the file is empty")
    return text.replace("\r\n", "\n").split("\n")  # splitlines() would also cut at rare characters


def read_parallel(source: Path, target: Path, encoding: str) -> list[tuple[str, str]]:
    """Pairs of two files that have a sentence a line.

    Raises:
        DataError: a file is missing or empty, they differ in length, or a sentence has no counterpart.
    """
    for path in (source, target):
        if not path.is_file():
            raise DataError(f"{path}: there is no such file; expected a sentence a line, as in its counterpart")
    sides = read_lines(source, encoding), read_lines(target, encoding)
    if len(sides[0]) != len(sides[1]):
        raise DataError(f"{target}: expected {len(sides[0])} lines as in {source.name}, found {len(sides[1])}")
    rows = enumerate(zip(*sides, strict=True), 1)
    return _without_blanks([(number, (one.strip(), other.strip())) for number, (one, other) in rows], target)


def read_pairs(path: Path, encoding: str, source: str | None, target: str | None) -> list[tuple[str, str]]:
    """Pairs of two columns of a table: separated by tabs and never quoted, or, in a `.csv`, by commas and quoted.

    Args:
        path: the file.
        encoding: its encoding.
        source: name, if the first line has names, or position from 0 of the source's column; the first by default.
        target: of the translation's column; the second by default.

    Raises:
        DataError: the file is empty or ragged (with the line), or has no such column.
    """
    lines = read_lines(path, encoding)
    if path.name.endswith((".csv", ".csv.gz")):
        reader = csv.reader(io.StringIO("\n".join(lines), newline=""))
        rows = [(reader.line_num, row) for row in reader if row]
    else:
        rows = [(number, line.split("\t")) for number, line in enumerate(lines, 1) if line.strip()]
    first = [cell.strip() for cell in rows[0][1]]
    if len(first) < 2:
        raise DataError(f"{path}:1: expected a sentence and its translation, separated by a tab (in a .csv, a comma)")
    columns = []
    for option, chosen, position in (("source", source, 0), ("target", target, 1)):
        if chosen is None or chosen in first:
            columns.append(position if chosen is None else first.index(chosen))
        elif chosen.isdecimal() and int(chosen) < len(first):
            columns.append(int(chosen))
        else:
            raise DataError(
                f"--data.{option} {chosen}: {path} has no such column; its first line has {' | '.join(first)}"
            )
    if source in first or target in first:
        del rows[0]
    for number, row in rows:
        if len(row) != len(first):
            raise DataError(f"{path}:{number}: expected {len(first)} fields as in the first line, found {len(row)}")
    return _without_blanks([(number, (row[columns[0]].strip(), row[columns[1]].strip())) for number, row in rows], path)


def _without_blanks(pairs: list[tuple[int, tuple[str, str]]], path: Path) -> list[tuple[str, str]]:
    for number, (source, target) in pairs:
        if bool(source) != bool(target):
            raise DataError(f"{path}:{number}: one side of the pair is blank: {source or target}")
    return [pair for _, pair in pairs if pair[0]]


def scoring_of(texts: list[str]) -> Scoring:
    """How sacreBLEU is to cut texts of this kind into words: Chinese and other languages without spaces by characters.

    Returns:
        `zh` where most letters are Chinese and none Japanese, `char` where most belong to another script that sets no
        spaces between words, `13a`, BLEU's usual way, elsewhere.
    """
    letters = [letter for letter in "".join(texts[:1000]) if letter.isalpha()]
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
    the translations into words.

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
        encoding: of the files.
        kwargs: as for DataModule.
    """

    provides: ClassVar[tuple[str, ...]] = ("source_tokenizer", "target_tokenizer", "scoring")
    learned: ClassVar[tuple[str, ...]] = provides
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
        self.source = source
        self.target = target
        self.vocab_size = vocab_size
        self.shared_vocabulary = shared_vocabulary
        self.max_length = max_length
        self.num_phrases = num_phrases
        self.encoding = known_encoding(encoding)
        self.pairs: list[tuple[str, str]] = []
        self._tokens: tuple[Ragged, Ragged] | None = None

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
        self.pairs = []
        for split, pairs in self._parts().items():
            if split:
                official[split] = torch.arange(len(self.pairs), len(self.pairs) + len(pairs))
            self.pairs += pairs
        self._tokens = None
        return Source(len(self.pairs), official=official)

    def _parts(self) -> dict[str, list[tuple[str, str]]]:
        """The pairs of each split; of all under an empty name where there are no splits."""
        if self.is_embedded or self.is_published:
            wanted = self._languages()
            places = [LANGUAGES[self.dataset].index(language) for language in wanted]
        if self.is_embedded:
            sides = phrases(self.num_phrases, self.split_seed)
            return {"": [(phrase[places[0]], phrase[places[1]]) for phrase in sides]}
        if self.dataset == "Tatoeba":
            return {"": read_pairs(self._folder() / "cmn.txt", "utf-8", *map(str, places))}
        if self.is_published:
            return self._split_files(self._folder(), wanted, "utf-8")
        if self.path.is_dir():
            return self._folder_parts(self.path)
        if self.path.name.endswith(TABLE_FILES):
            return {"": read_pairs(self.path, self.encoding, self.source, self.target)}
        stem, _, source = self.path.name.removesuffix(".gz").rpartition(".")
        if not stem or self.target is None or self.source not in (None, source):
            raise DataError(
                f"{self.path}: expected a table (.tsv or .csv), or one of two parallel files such as train.en, "
                f"with the other's ending as --data.target"
            )
        other = _existing(self.path.parent, stem, self.target) or self.path.parent / f"{stem}.{self.target}"
        return {"": read_parallel(self.path, other, self.encoding)}

    def _folder_parts(self, folder: Path) -> dict[str, list[tuple[str, str]]]:
        tables = {
            split: table
            for split, names in SPLITS.items()
            for name in names
            for ending in TABLE_FILES
            if (table := folder / f"{name}{ending}").is_file()
        }
        if "train" in tables:
            return {
                split: read_pairs(table, self.encoding, self.source, self.target) for split, table in tables.items()
            }
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
        return self._split_files(folder, (self.source, self.target), self.encoding)

    def _split_files(self, folder: Path, languages: tuple[str, str], encoding: str) -> dict[str, list[tuple[str, str]]]:
        parts = {}
        for split, names in SPLITS.items():
            for name in names:
                files = [_existing(folder, name, language) for language in languages]
                if any(files) or name == "train":
                    paths = [file or folder / f"{name}.{end}" for file, end in zip(files, languages, strict=True)]
                    parts[split] = read_parallel(paths[0], paths[1], encoding)
        return parts

    def split(self, source: Source) -> Splits:
        """Cut by distinct source sentences, so that none with several translations stands in two splits."""
        if source.official:
            return super().split(source)
        number: dict[str, int] = {}
        group = torch.tensor([number.setdefault(pair[0], len(number)) for pair in self.pairs])
        cut = super().split(Source(len(number)))
        return Splits(*(torch.isin(group, chosen).nonzero().flatten() for chosen in cut))

    def identities(self) -> list[str]:
        """The sources: the translation of one from training can be had by heart."""
        return [source for source, _ in self.pairs]

    def fit(self, train: Tensor) -> None:
        """Learn the tokenizers, and what kind of script the translations are in."""
        rows = train.tolist()
        sources, targets = [self.pairs[row][0] for row in rows], [self.pairs[row][1] for row in rows]
        self.scoring = scoring_of(targets)
        if self.shared_vocabulary:
            self.source_tokenizer = new_translator_tokenizer([*sources, *targets], self.vocab_size).to_str()
            self.target_tokenizer = self.source_tokenizer
        else:
            self.source_tokenizer = new_translator_tokenizer(sources, self.vocab_size).to_str()
            self.target_tokenizer = new_translator_tokenizer(targets, self.vocab_size).to_str()

    def _encoded(self, texts: list[str], tokenizer: Tokenizer, begin: bool = False) -> Ragged:
        tokenizer.enable_truncation(self.max_length)
        first = [number_of(tokenizer, BEGIN)] if begin else []
        return Ragged([first + encoding.ids for encoding in tokenizer.encode_batch_fast(texts)])

    def examples(self, index: Tensor) -> PairExamples:
        """The pairs at these indices."""
        source, target = tokenizer_from(self.source_tokenizer), tokenizer_from(self.target_tokenizer)
        if self._tokens is None:
            sides = [pair[0] for pair in self.pairs], [pair[1] for pair in self.pairs]
            self._tokens = self._encoded(sides[0], source), self._encoded(sides[1], target, begin=True)
        references = [pair[1] for pair in self.pairs]
        padding = number_of(source, PAD), number_of(target, PAD)
        return PairExamples(*self._tokens, references, padding, index)

    def read_input(self, path: Path) -> tuple[SourceExamples, list[str]]:
        """The sentences of a text file, one a line; blank lines are left out."""
        if path.is_dir():
            raise DataError(f"--input {path}: expected a text file with a sentence a line, found a folder")
        lines = [line.strip() for line in read_lines(path, self.encoding) if line.strip()]
        tokenizer = tokenizer_from(self.source_tokenizer)
        return SourceExamples(self._encoded(lines, tokenizer), number_of(tokenizer, PAD)), lines


def _existing(folder: Path, name: str, language: str) -> Path | None:
    paths = (folder / f"{name}.{language}", folder / f"{name}.{language}.gz")
    return next((path for path in paths if path.is_file()), None)
