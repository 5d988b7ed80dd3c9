"""Text classification: reviews, questions, headlines, in Chinese as in English."""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from datamodules.baselines.baseline import Baseline
from datamodules.baselines.tf_idf import TfIdf
from datamodules.checking.described import TRAINING_ROWS, sampled
from datamodules.checking.facts import texts_at, tokens_fact
from datamodules.checking.giveaway import classes_in_texts
from datamodules.checking.neighbours import text_vectors
from datamodules.checking.suspicions import ALIKE_TEXTS, Compared
from datamodules.errors import DataError
from datamodules.files.delimited import (
    CSV_DELIMITERS,
    SUFFIXES,
    Table,
    read_labelled_lines,
    read_lines,
    read_table,
    text_and_label_columns,
)
from datamodules.files.documents import NAME as DOCUMENT
from datamodules.files.documents import SUFFIXES as DOCUMENTS
from datamodules.files.documents import document_folders, document_table, documents_in
from datamodules.files.encoding import json_value
from datamodules.files.labelled_texts import kept_texts, labels_of
from datamodules.files.splits import class_files
from datamodules.files.text_files import is_csv, stripped_lines
from datamodules.labels import LabelledData, class_codes
from datamodules.loading.examples import Names, Source
from datamodules.loading.sampling import Splits, chosen
from datamodules.storage.catalogue import TEXTS, Remotes
from datamodules.storage.fingerprint import hash_files, hash_texts
from datamodules.storage.streaming import Repeatable, Streamed, is_large
from datamodules.storage.token_cache import kept_ragged, shown_tokens, stored_parts
from datamodules.synthetic.reviews import generated_reviews
from datamodules.tokenized import PublishedFiles, TextExamples, TokenizedData, check_minimum
from datamodules.tokenizing.tokens import UNKNOWN, Ragged, Tokens

SENTIMENTS = {"0": "negative", "1": "positive"}

Texts = list[str] | Streamed


class TextClassification(LabelledData, TokenizedData):
    """Texts, each of a class.

    A batch is `(Text, target)`: token ids with their lengths, and (B,) classes. Texts are tokenized once, and batched
    by length. Provides num_tokens (V), padding, max_length and token_names, besides the classes.

    Your own files are CSV, TSV or JSON lines with a column of texts and one of labels, or lines of a label and a text:
    one file, or a folder with train, val (or dev) and test; or a folder with a file of lines for each class. If they
    are large, neither texts nor tokens are kept in memory.

    Args:
        dataset: a known data set, or the path of a file or folder.
        num_reviews: number of texts in `reviews`.
        text: name or index (from 0) of the column of texts; inferred by default.
        target: name or index of the column of labels; inferred by default.
        header: whether the first row of a CSV or TSV file contains the column names; inferred by default.
        tokenizer: as for TokenizedData.
        vocab_size: maximum number of tokens that are learned.
        max_length: maximum number of tokens of a text; the rest is truncated.
        kwargs: as for LabelledData, TokenizedData and DataModule.
    """

    embedded: ClassVar[tuple[str, ...]] = ("reviews",)
    of_embedded: ClassVar[tuple[str, ...]] = ("num_reviews",)
    of_own: ClassVar[tuple[str, ...]] = ("text", "target", "header", "encoding")
    published: ClassVar[Remotes] = TEXTS
    provides: ClassVar[tuple[str, ...]] = (
        *TokenizedData.provides,
        "token_names",
        *LabelledData.provides,
    )
    fitted: ClassVar[tuple[str, ...]] = (*LabelledData.fitted, *TokenizedData.fitted, "text_name")
    typed: ClassVar[tuple[str, str]] = ".txt", ".jsonl"
    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES
    published_files: ClassVar[dict[str, PublishedFiles]] = {
        "SST-2": PublishedFiles("en_sst2", {"train": "train.tsv", "val": "dev.tsv", "test": "test.tsv"}),
        "TREC": PublishedFiles("en_trec", {"train": "TREC.train", "test": "TREC.test"}, "latin-1"),
        "MR": PublishedFiles("en_mr", {"negative": "rt-polarity.neg", "positive": "rt-polarity.pos"}, "windows-1252"),
        "ChnSentiCorp": PublishedFiles("zh_chnsenticorp_htl", {"": "ChnSentiCorp_htl_all.csv"}),
        "waimai": PublishedFiles("zh_waimai_10k", {"": "waimai_10k.csv"}),
        "THUCNews": PublishedFiles(
            "zh_thucnews_titles",
            {"train": "train.txt", "val": "dev.txt", "test": "test.txt"},
            others=("class.txt",),
        ),
    }

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
        check_minimum("num_reviews", num_reviews, 20)
        self.num_reviews = num_reviews
        self.text = text
        self.target = target
        self.header = header
        self.text_name = ""
        self.texts: Texts = []
        self.tables: list[tuple[Table, int]] = []  # of your own files, and their rows
        self.tokens: Ragged | None = None

    @property
    def token_names(self) -> list[str]:
        """Each token as a string."""
        return [self.built_tokenizer.id_to_token(token) or "" for token in range(self.num_tokens)]

    def read(self) -> Source:
        """Read the texts and labels of all splits."""
        official: dict[str, Tensor] = {}
        self._read_from, self._read_bytes = [], 0
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
        self.class_names, self.labels = class_codes(labels, self.known_classes, self.dataset, self.note)
        if len(self.class_names) > 20 and 2 * len(self.class_names) > len(labels):
            raise DataError(
                f"{self.dataset}: {len(self.class_names)} different labels in {len(labels)} examples, such as "
                f"{labels[0][:40]}; a classifier needs classes (--data.target chooses another column)"
            )
        return Source(len(labels), self.labels, official)

    def _read_published(self) -> dict[str, tuple[Texts, list[str]]]:
        encoding = self.published_files[self.dataset].encoding
        files = self.find_files()
        if self.dataset in ("MR", "TREC"):
            lines = {part: [line for _, line in stripped_lines(file, encoding)] for part, file in files.items()}
            if self.dataset == "MR":
                return {label: (texts, [label] * len(texts)) for label, texts in lines.items()}
            return {
                split: ([row.split(" ", 1)[1] for row in rows], [row.split(":", 1)[0] for row in rows])
                for split, rows in lines.items()
            }
        names = SENTIMENTS
        if self.dataset == "THUCNews":
            classes = stripped_lines(self.published_folder() / "class.txt", encoding)
            names = {str(index): name for index, (_, name) in enumerate(classes)}
        parts: dict[str, tuple[Texts, list[str]]] = {}
        for split, file in files.items():
            table = read_table(file, encoding)
            text, target = text_and_label_columns(table, None, None)
            parts[split] = (table.column(text), [names[cell] for cell in table.column(target)])
        return parts

    def _read_files(self) -> dict[str, tuple[Texts, list[str]]]:
        if self.path.is_dir():
            if documents := document_folders(self.path, self.note):
                return self._read_documents(documents)
            if classes := class_files(self.path, self.note):
                return self._read_classes(classes)
        files, self.tables = self.find_files(), []
        large = is_large(files.values())
        parts: dict[str, tuple[Texts, list[str]]] = {}
        header, text, target = self.header, self.text, self.target
        for split, file in sorted(files.items(), key=lambda item: item[0] != "train"):
            if large:
                table = read_table(file, self.encoding, header, large, (text, target), self.note)
                text, target = text_and_label_columns(table, text, target)  # the other files need the training file's
                parts[split] = (_texts(table, text, large), labels_of(table, target))
            else:
                read = kept_texts(file, self.encoding, header, text, target, self.note)
                table, text, target = read.table, read.text, read.target
                parts[split] = (read.texts, read.labels)
                self._read_from.append(read.source)
                self._read_bytes += read.size
            header = table.names != [str(index) for index in range(len(table.names))]
            if not self.restored:
                self.text_name = text
            self.tables.append((table, len(parts[split][1])))
        return parts

    def _read_documents(self, found: list[tuple[Path, str, str]]) -> dict[str, tuple[Texts, list[str]]]:
        parts: dict[str, tuple[Texts, list[str]]] = {}
        self.tables = []
        for split in dict.fromkeys(split for _, _, split in found):
            files = [file for file, _, of in found if of == split]
            table = document_table(self.path, files, self.encoding)
            self.tables.append((table, len(files)))
            parts[split] = (
                _texts(table, DOCUMENT, bool(table.reread)),
                [label for _, label, of in found if of == split],
            )
        if not self.restored:
            self.text_name = DOCUMENT
        return parts

    def _read_classes(self, files: dict[str, Path]) -> dict[str, tuple[Texts, list[str]]]:
        large = is_large(files.values())
        tables = {label: read_lines(file, self.encoding, large) for label, file in files.items()}
        sizes = {label: sum(1 for _ in table) for label, table in tables.items()}
        self.tables = [(table, sizes[label]) for label, table in tables.items()]
        return {label: (_texts(table, "0", large), [label] * sizes[label]) for label, table in tables.items()}

    def check(self, source: Source, splits: Splits) -> None:
        """Also warn about empty texts."""
        super().check(source, splits)
        empty = self.kept_fact("empty", lambda: sum(not text.strip() for text in self.texts))
        if empty:
            self.note(f"{self.dataset}: {empty} of {source.size} texts are empty")

    def example_hashes(self) -> Texts:
        """The texts."""
        return self.texts

    def facts(self) -> list[tuple[str, str]]:
        """The form of the files, and the length of the texts."""
        assert self.tokens is not None
        form = [("format", self.tables[0][0].form)] if self.tables else []
        return [*form, (self.text_name or "texts", tokens_fact(self.tokens.lengths, self.max_length))]

    def shown(self, row: int) -> tuple[str, str]:
        """A text and its class."""
        return next(islice(iter(self.texts), row, None)), self.class_names[self.labels[row]]

    def inputs_shown(self, rows: Tensor) -> list[str]:
        """The texts."""
        return texts_at(self.texts, rows)

    def origin(self, row: int) -> str:
        """The file and line of a text."""
        for table, size in self.tables:
            if row < size:
                return table.origin(row)
            row -= size
        return super().origin(row)

    def origins(self, rows: Tensor) -> list[str]:
        """The file and line of some texts, in one pass."""
        if not self.tables:
            return super().origins(rows)
        return texts_at(chain.from_iterable(table.origins() for table, _ in self.tables), rows)

    def as_vectors(self, rows: Tensor) -> Compared:
        """The texts by their words."""
        return Compared(text_vectors(texts_at(self.texts, rows)), ALIKE_TEXTS)

    def giveaways(self) -> list[str]:
        """Texts that contain the name of their class."""
        rows = sampled(self.splits.train, TRAINING_ROWS)
        return classes_in_texts(texts_at(self.texts, rows), self.labels[rows].tolist(), self.class_names)

    def contents(self) -> dict[str, str]:
        """Hashes of the texts, or of their files if these are large, and of the labels."""
        if isinstance(self.texts, Streamed):
            return hash_files([file for table, _ in self.texts.columns for file in table.files or [table.path]]) | {
                "labels": self.label_digest
            }
        return {"texts": self.kept_fact("digest", lambda: hash_texts(self.texts)), "labels": self.label_digest}

    def fit(self, train: Tensor) -> None:
        """Learn the tokenizer, unless it is a pretrained model's."""
        key = self.learning_key(train)
        self.train_tokenizer(Repeatable(lambda: chosen(self.texts, train), key))
        self.tokens = self.encoded(self.texts)

    def baselines(self) -> dict[str, Baseline]:
        """Logistic regression on TF-IDF."""
        return {"tf_idf": TfIdf(self.num_tokens, self.num_classes)}

    def encoded(self, texts: Texts) -> Ragged:
        """Token ids of texts; a text without any token becomes one unknown token."""
        if isinstance(texts, Streamed):
            key = [*texts.key, self.encoding, self.tokenizer_json, str(self.max_length)]
            return stored_parts(self._token_ids(texts), key)
        settings = [self.tokenizer_json, self.max_length, self.padding]
        make = partial(Ragged.of_parts, self._token_ids(texts))
        return kept_ragged(make, [hash_texts(texts), *settings], sum(map(len, texts)))

    def _token_ids(self, texts: Iterable[str]) -> Iterator[Tokens]:
        """The tokens of some texts after the other."""
        tokenizer = self.built_tokenizer
        tokenizer.enable_truncation(self.max_length)
        unknown = tokenizer.token_to_id(UNKNOWN)
        if_empty = self.padding if unknown is None else unknown
        size = len(texts) if isinstance(texts, list) else len(getattr(self, "labels", ()))  # without a pass over files
        for values, lengths in shown_tokens(tokenizer, texts, size, "texts"):
            yield np.insert(values, lengths.cumsum()[lengths == 0], if_empty), np.maximum(lengths, 1)

    def examples(self, index: Tensor) -> TextExamples:
        """Texts with their classes."""
        if self.tokens is None:
            self.tokens = self.encoded(self.texts)
        return TextExamples(self.tokens, self.padding, self.labels, index)

    def typed_example(self, text: str) -> str:
        """A text as JSON, in which it is neither a header nor a label nor a table; it may be typed so."""
        name = self.text_name or "text"
        with suppress(json.JSONDecodeError):
            row = json_value(text) if text.lstrip().startswith("{") else None
            text = next((row[key] for key in (name, "text") if isinstance(row.get(key), str)), text) if row else text
        return json.dumps({name: text})

    def typed_ending(self, content: bytes, as_json: bool) -> str:
        """That of CSV where the first line has the name of the column of texts among others."""
        first = content.lstrip().partition(b"\n")[0].decode(self.encoding, errors="replace")
        names = [name.strip(' "\r') for name in re.split(f"[{CSV_DELIMITERS}]", first)]
        return ".csv" if len(names) > 1 and self.text_name in names else super().typed_ending(content, as_json)

    def read_input(self, path: Path) -> tuple[TextExamples, Names]:
        """Texts of a file, which are their own names: its column of texts, or its lines if it is plain text.

        Documents are named by their files: those of a folder, and of a model that was trained on documents one file.
        """
        if path.is_dir() or (self.text_name == DOCUMENT and path.suffix.lower() in DOCUMENTS):
            if not (files := documents_in(path)):
                raise DataError(f"{path}: expected a file of texts, or a folder of documents (.txt), found none in it")
            documents = document_table(path, files, self.encoding)
            texts = _texts(documents, DOCUMENT, bool(documents.reread))
            return TextExamples(self.encoded(texts), self.padding), files
        name = path.name.removesuffix(".gz")
        large = path.is_file() and is_large([path])
        is_table = is_csv(path) or name.endswith((".tsv", ".jsonl", ".json"))
        table = None if is_table else self._read_lines(path, large)
        if table is None or (len(table.names) == 1 and all("\t" in line for _, (line,) in table)):
            named = [name for name in (self.text, self.text_name) if name]
            table = read_table(path, self.encoding, self.header, large, named, self.note)
        chosen = self.text if self.text is not None else self.text_name
        if len(table.names) == 1:
            column = table.names[0]
        elif str(chosen) in table.names or self.text is not None:
            column = table.column_name(chosen, "--data.text")
        else:
            column = text_and_label_columns(table, None, None)[0]
            if not column.isdecimal():
                self.note(f"{path}: has no column {chosen}; the texts are those of {column}")
        texts = _texts(table, column, large)
        return TextExamples(self.encoded(texts), self.padding), texts

    def _read_lines(self, path: Path, large: bool) -> Table:
        """The lines of a file, without their labels where lines had them in training."""
        labelled = read_labelled_lines(path, self.encoding, large, self.note) if self.text_name == "1" else None
        if labelled and {label for _, (label, _) in labelled} <= set(self.class_names):
            return labelled
        return read_lines(path, self.encoding, large, self.text_name, self.note)


def _texts(table: Table, column: str, large: bool) -> Texts:
    return Streamed([(table, column)]) if large else table.column(column)


def _joined(parts: list[Texts]) -> Texts:
    large = [part for part in parts if isinstance(part, Streamed)]
    if large:
        return Streamed([column for part in large for column in part.columns])
    return [text for part in parts for text in part]
