"""Texts that each belong to a class: reviews, questions, headlines, in Chinese as in English."""

import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.errors import DataError
from datamodules.files.text_files import (
    SUFFIXES,
    Repeatable,
    Streamed,
    Table,
    columns_of,
    is_large,
    lines_table,
    read_lines,
    read_texts,
    split_files,
)
from datamodules.labels import LabelledData, class_codes
from datamodules.loading.examples import Source
from datamodules.loading.sampling import Splits, chosen, generator
from datamodules.storage.catalogue import TEXTS, Remotes
from datamodules.storage.fingerprint import hash_files, hash_texts
from datamodules.storage.token_cache import stored
from datamodules.synthetic.reviews import generated_reviews
from datamodules.tokenizing.tf_idf import fit_tf_idf
from datamodules.tokenizing.tokenized import TokenizedData, at_least
from datamodules.tokenizing.tokens import UNKNOWN, Ragged, encodings

MOST_FOR_TF_IDF = 20_000  # texts that the baseline learns from: enough for it, and a matter of seconds
SENTIMENTS = {"0": "negative", "1": "positive"}


class Published(NamedTuple):
    """Where a published data set keeps its texts.

    Args:
        folder: what its folder is also called.
        files: of each split; of each class, where it has no splits.
        encoding: of the files.
    """

    folder: str
    files: dict[str, str]
    encoding: str = "utf-8"


PUBLISHED_TEXTS = {
    "SST-2": Published("en_sst2", {"train": "train.tsv", "val": "dev.tsv", "test": "test.tsv"}),
    "TREC": Published("en_trec", {"train": "TREC.train", "test": "TREC.test"}, "latin-1"),
    "MR": Published("en_mr", {"negative": "rt-polarity.neg", "positive": "rt-polarity.pos"}, "windows-1252"),
    "ChnSentiCorp": Published("zh_chnsenticorp_htl", {"": "ChnSentiCorp_htl_all.csv"}),
    "waimai": Published("zh_waimai_10k", {"": "waimai_10k.csv"}),
    "THUCNews": Published("zh_thucnews_titles", {"train": "train.txt", "val": "dev.txt", "test": "test.txt"}),
}


class TextExamples(Dataset[Any]):
    """Texts as token numbers; a batch is `(Text, target)`, or a Text where only predictions are wanted.

    Args:
        tokens: of all texts.
        padding: number of the padding token.
        labels: (N,) of all texts, or None.
        index: the texts that make this split; all of them by default.
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


class TextClassification(LabelledData, TokenizedData):
    """Texts, each of a class.

    A batch is `(Text, target)`: token numbers with their lengths, and (B,) classes. Texts are cut into tokens once;
    those of like length share a batch. Provides num_tokens (V), padding, max_length, token_names and the baseline
    tf_idf, besides the classes.

    Your own files are CSV, TSV or JSON lines with a column of texts and one of labels: one file, or a folder with
    train, val (or dev) and test. Where they are large, neither texts nor tokens are held in memory.

    Args:
        dataset: a known data set, or the path of a file or folder.
        num_reviews: how many texts `reviews` has.
        text: name or position (from 0) of the column of texts; found out by default.
        target: name or position of the column of labels; found out by default.
        header: whether the first row of a CSV or TSV file names the columns; found out by default.
        tokenizer: as for TokenizedData.
        vocab_size: most tokens that are learned.
        max_length: tokens that are read of a text; what follows them is cut off.
        kwargs: as for LabelledData, TokenizedData and DataModule.
    """

    embedded: ClassVar[tuple[str, ...]] = ("reviews",)
    published: ClassVar[Remotes] = TEXTS
    provides: ClassVar[tuple[str, ...]] = (
        *TokenizedData.provides,
        "token_names",
        "tf_idf",
        *LabelledData.provides,
    )
    learned: ClassVar[tuple[str, ...]] = (*LabelledData.learned, *TokenizedData.learned, "text_name", "tf_idf")

    def __init__(
        self,
        dataset: str = "reviews",
        num_reviews: int = 4000,
        text: str | int | None = None,
        target: str | int | None = None,
        header: bool | None = None,
        tokenizer: str = "words",
        vocab_size: int = 20_000,
        max_length: int = 256,
        **kwargs: Any,
    ) -> None:
        super().__init__(dataset=dataset, tokenizer=tokenizer, vocab_size=vocab_size, max_length=max_length, **kwargs)
        at_least("num_reviews", num_reviews, 20)
        self.num_reviews = num_reviews
        self.text = text
        self.target = target
        self.header = header
        self.text_name = ""
        self.texts: list[str] | Streamed = []
        self.tokens: Ragged | None = None
        self.tf_idf: dict[str, Tensor] = {}

    @property
    def token_names(self) -> list[str]:
        """What each token is, as a person would read it."""
        return [self.built_tokenizer.id_to_token(number) or "" for number in range(self.num_tokens)]

    def prepare_data(self) -> None:
        """Download what is missing."""
        if self.is_published:
            self._published_folder()

    def _published_folder(self) -> Path:
        published = PUBLISHED_TEXTS[self.dataset]
        further = ["class.txt"] if self.dataset == "THUCNews" else []
        return self.folder_of([*published.files.values(), *further], published.folder)

    def read(self) -> Source:
        """Read the texts and labels of all splits."""
        official: dict[str, Tensor] = {}
        if self.is_embedded:
            self.texts, labels = generated_reviews(self.num_reviews, seed=0)
        else:
            parts = self._read_published() if self.is_published else self._read_files()
            self.texts, labels = _joined([texts for texts, _ in parts.values()]), []
            for split, (_, names) in parts.items():
                official[split] = torch.arange(len(labels), len(labels) + len(names))
                labels += names
            if not {*official} <= {"train", "val", "test"}:
                official = {}  # the parts are not splits
        self.tokens = None
        self.class_names, self.labels = class_codes(labels, self.known_classes, self.dataset)
        if len(self.class_names) > 20 and 2 * len(self.class_names) > len(labels):
            raise DataError(
                f"{self.dataset}: {len(self.class_names)} different labels in {len(labels)} examples, such as "
                f"{labels[0][:40]}; a classifier needs classes (--data.target chooses another column)"
            )
        return Source(len(labels), self.labels, official)

    def _read_published(self) -> dict[str, tuple[list[str] | Streamed, list[str]]]:
        folder = self._published_folder()
        _, files, encoding = PUBLISHED_TEXTS[self.dataset]
        if self.dataset == "MR":
            read = {kind: read_lines(folder / file, encoding) for kind, file in files.items()}
            return {kind: (texts, [kind] * len(texts)) for kind, texts in read.items()}
        if self.dataset == "TREC":
            rows = {split: read_lines(folder / file, encoding) for split, file in files.items()}
            return {
                split: ([line.split(" ", 1)[1] for line in lines], [line.split(":", 1)[0] for line in lines])
                for split, lines in rows.items()
            }
        names = SENTIMENTS
        if self.dataset == "THUCNews":
            names = {str(number): name for number, name in enumerate(read_lines(folder / "class.txt", encoding))}
        parts: dict[str, tuple[list[str] | Streamed, list[str]]] = {}
        for split, file in files.items():
            table = read_texts(folder / file, encoding)
            text, target = columns_of(table, None, None)
            parts[split] = (table.column(text), [names[cell] for cell in table.column(target)])
        return parts

    def _read_files(self) -> dict[str, tuple[list[str] | Streamed, list[str]]]:
        files = split_files(self.path, SUFFIXES) if self.path.is_dir() else {"": self.path}
        large = is_large(files.values())
        parts: dict[str, tuple[list[str] | Streamed, list[str]]] = {}
        header, text, target = self.header, self.text, self.target
        for split, file in sorted(files.items(), key=lambda item: item[0] != "train"):
            table = read_texts(file, self.encoding, header, large)
            text, target = columns_of(table, text, target)  # what the training file's are, the others' have to be
            header = table.names != [str(number) for number in range(len(table.names))]
            if not self.restored:
                self.text_name = text
            parts[split] = (Streamed([(table, text)]) if large else table.column(text), _labels(table, target))
        return parts

    def check(self, source: Source, splits: Splits) -> None:
        """Take note, besides, of empty texts."""
        super().check(source, splits)
        empty = sum(not text.strip() for text in self.texts)
        if empty:
            self.note(f"{self.dataset}: {empty} of {source.size} texts are empty")

    def example_hashes(self) -> list[str] | Streamed:
        """The texts."""
        return self.texts

    def contents(self) -> dict[str, str]:
        """Of the texts, or of their files where these are large, and of the labels."""
        if isinstance(self.texts, Streamed):
            return hash_files([table.path for table, _ in self.texts.columns]) | {"labels": self.label_digest}
        return {"texts": hash_texts(self.texts), "labels": self.label_digest}

    def fit(self, train: Tensor) -> None:
        """Learn the tokenizer, if it is not a pretrained model's, and the baseline."""
        self.train_tokenizer(Repeatable(lambda: chosen(self.texts, train)))
        self.tokens = self.encoded(self.texts)
        if len(train) > MOST_FOR_TF_IDF:
            train = train[torch.randperm(len(train), generator=generator(0))[:MOST_FOR_TF_IDF]].sort().values
        self.tf_idf = fit_tf_idf(self.tokens, self.labels, train, self.num_tokens, len(self.class_names))

    def encoded(self, texts: list[str] | Streamed) -> Ragged:
        """Token numbers of texts; a text without any token becomes one unknown token."""
        if isinstance(texts, Streamed):
            return stored(
                self._sequences(texts), [*texts.key, self.encoding, self.tokenizer_json, str(self.max_length)]
            )
        return Ragged(self._sequences(texts))

    def _sequences(self, texts: Iterable[str]) -> Iterator[list[int]]:
        tokenizer = self.built_tokenizer
        tokenizer.enable_truncation(self.max_length)
        unknown = tokenizer.token_to_id(UNKNOWN)
        instead = [self.padding if unknown is None else unknown]
        for encoding in encodings(tokenizer, texts):
            yield encoding.ids or instead

    def examples(self, index: Tensor) -> TextExamples:
        """Texts with their classes."""
        if self.tokens is None:
            self.tokens = self.encoded(self.texts)
        return TextExamples(self.tokens, self.padding, self.labels, index)

    def read_input(self, path: Path) -> tuple[TextExamples, list[str] | Streamed]:
        """Texts of a file: of its column of texts, or of its lines if it is plain text; each is its own name."""
        name = path.name.removesuffix(".gz")
        large = path.is_file() and is_large([path])
        is_table = name.endswith((".csv", ".tsv", ".jsonl", ".json"))
        table = None if is_table else lines_table(path, self.encoding, large)
        if table is None or all("\t" in line for _, (line,) in table):
            table = read_texts(path, self.encoding, self.header, large)
        chosen = self.text if self.text is not None else self.text_name
        if len(table.names) == 1:
            column = table.names[0]
        elif str(chosen) in table.names or self.text is not None:
            column = table.called(chosen, "--data.text")
        else:
            column = columns_of(table, None, None)[0]
        texts = Streamed([(table, column)]) if large else table.column(column)
        return TextExamples(self.encoded(texts), self.padding), texts


def _joined(parts: list[list[str] | Streamed]) -> list[str] | Streamed:
    large = [part for part in parts if isinstance(part, Streamed)]
    if large:
        return Streamed([column for part in large for column in part.columns])
    return [text for part in parts for text in part]


def _labels(table: Table, target: str) -> list[str]:
    """The labels of a table; each is in memory once, however often it is given.

    Raises:
        DataError: one is missing.
    """
    place = table.names.index(target)
    labels = [sys.intern(row[place].strip()) for _, row in table]
    if "" in labels:
        line, _ = next(islice(table, labels.index(""), None))
        missing = f"in {labels.count('')} of {len(labels)} rows"
        raise DataError(f"{table.path}:{line}: the label is missing (column {target}, {missing})")
    return labels
