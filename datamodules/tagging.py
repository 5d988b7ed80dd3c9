"""Sentences with named entities: cut into words that carry tags, and words into tokens."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
import tokenizers
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from datamodules.checking.facts import sizes_fact, texts_at
from datamodules.checking.neighbours import text_vectors
from datamodules.checking.suspicions import ALIKE_TEXTS, Compared
from datamodules.errors import DataError
from datamodules.export.exportable import ExportableModule
from datamodules.files import entities
from datamodules.files.entities import (
    Sentence,
    Unit,
    cut_words,
    infer_unit,
    sentence_from_json,
    word_pattern,
)
from datamodules.files.entity_files import infer_format, read_sentences
from datamodules.files.entity_layout import COLUMN_SUFFIXES, Layout
from datamodules.files.entity_tags import UNTYPED
from datamodules.files.splits import Note
from datamodules.loading.examples import Source
from datamodules.loading.sampling import Splits, chosen
from datamodules.storage.catalogue import ENTITIES, Remotes
from datamodules.storage.fingerprint import hash_files, hash_numbers, hash_texts
from datamodules.storage.kept import Kept, code_of
from datamodules.storage.progress import shown_items
from datamodules.storage.rows_of_files import RowsOfFiles, read_rows
from datamodules.storage.stored_rows import LazyExamples, Rows, StoredRows
from datamodules.storage.streaming import Repeatable
from datamodules.synthetic.names import generated_names
from datamodules.tokenized import PublishedFiles, TokenizedData, check_minimum, tokenizer_facts
from datamodules.tokenizing import word_encoder
from datamodules.tokenizing.pieces import Pieces
from datamodules.tokenizing.tokens import Ragged, Text, padded_rows
from datamodules.tokenizing.word_encoder import SENTENCE_ENDS, Encoder

IGNORED = -100  # the target where there is no word
UNPACKED = (*COLUMN_SUFFIXES, ".txt", ".tsv", ".csv", ".jsonl", ".json")
FAULTS = {
    "overlap": "entities overlap a longer one and are left out",
    "comment": "comment lines are left out",
    "blank": "words are blank and left out",
    **{scheme: f"sentences have {text}" for scheme, text in UNTYPED.items()},
    "utf16": "spans are counted in UTF-16; converted",
    "labels": "spans have several labels, of which the first is read",
    "unlabelled": "spans have no label and are left out",
    "unannotated": "tasks are not annotated and left out",
    "annotators": "tasks are annotated several times, of which the first is read",
    "rejected": "examples were rejected or ignored in annotation and are left out",
    "null": "records are null and left out",
    "range": "lines of several words (3-4) or of none (3.1) are left out",
}
ENCODING = code_of(entities, word_encoder)
COUNTED = 10_000  # sentences whose length is looked at for the summary
MEMORY_FACTOR = 8  # times as much memory as plain texts: each word has a position, a token and a tag
MAX_NAMES = 100_000  # that the baseline knows: enough for it, and they are saved in every checkpoint


class Sentences(NamedTuple):
    """B sentences as P pieces, of which a long sentence takes several.

    Args:
        ids: (P, T) token ids of the pieces.
        lengths: (P,) number of tokens in each piece.
        first: (B, W) position of each word's first token in the flattened ids.
        num_words: (B,) number of words in each sentence.
        offsets: (B, W, 2) start and end of each word in its sentence.
        texts: the B sentences.
    """

    ids: Tensor
    lengths: Tensor
    first: Tensor
    num_words: Tensor
    offsets: Tensor
    texts: list[str]

    @property
    def mask(self) -> Tensor:
        """(P, T), true where there is a token."""
        return Text(self.ids, self.lengths).mask

    @property
    def word_mask(self) -> Tensor:
        """(B, W), true where there is a word."""
        return torch.arange(self.first.shape[1], device=self.first.device) < self.num_words[:, None]


class ExportableSentences(ExportableModule):
    """Reads token ids, and the position of each word's first token."""

    reads = "sentences"

    def __init__(self, model: nn.Module, data: "Tagging") -> None:
        super().__init__(model, data)
        self.inputs = {"ids": ("pieces", "tokens"), "lengths": ("pieces",), "first": ("batch", "words")}

    def preprocessing(self) -> dict[str, Any]:
        """How a sentence is cut into words, and these into tokens."""
        encoder = Encoder(self.data.built_tokenizer, self.data.max_length)
        return tokenizer_facts(encoder.tokenizer) | {
            "words": word_pattern(self.data.unit),
            "room": encoder.room,
            "before": encoder.before,
            "after": encoder.after,
            "sentence_ends": SENTENCE_ENDS,
        }

    def tensors(self, batch: Any) -> tuple[Tensor, ...]:
        """The tensors that the network reads."""
        return batch.ids, batch.lengths, batch.first

    def forward(self, ids: Tensor, lengths: Tensor, first: Tensor) -> Tensor:  # type: ignore[override]
        """Scores of each word's tags (B, W, K)."""
        unused = first[:, 0]  # needed only to decode the output
        return self.network(Sentences(ids, lengths, first, unused, unused, []))


class TaggedExamples(Dataset[Any]):
    """Sentences, with their words end to end.

    Args:
        texts: the sentences.
        arrays: their words and tokens, see `encoded`.
        padding: the padding token's id.
    """

    def __init__(self, texts: list[str], arrays: dict[str, NDArray[Any]], padding: int) -> None:
        self.texts = texts
        self.padding = padding
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        self.pieces = Pieces(Ragged.of(arrays["tokens"], arrays["lengths"]), tensors["counts"])
        self.lengths = self.pieces.lengths
        self.num_words = tensors["num_words"]
        self.first_word = self.num_words.cumsum(0) - self.num_words
        self.first, self.offsets, self.tags = tensors["first"], tensors["offsets"], tensors.get("tags")

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: Tensor) -> Any:
        text = self.pieces.padded(index, self.padding)
        rows, is_padding = padded_rows(self.first_word[index], self.num_words[index])  # (B, W)
        first = self.pieces.flat_positions(index, self.first[rows], text.ids.shape[1])
        batch = Sentences(
            ids=text.ids,
            lengths=text.lengths,
            first=first.masked_fill(is_padding, 0),
            num_words=self.num_words[index],
            offsets=self.offsets[rows].masked_fill(is_padding[..., None], 0),
            texts=[self.texts[row] for row in index.tolist()],
        )
        return batch if self.tags is None else (batch, self.tags[rows].masked_fill(is_padding, IGNORED))


def encoded(sentences: Sequence[Sentence], encoder: Encoder, codes: dict[str, int] | None) -> dict[str, NDArray[Any]]:
    """The words of sentences, their tokens and tags, all end to end.

    Args:
        sentences: sentences that are cut into words.
        encoder: encoder of their words.
        codes: index of each tag; None for predictions, which have none.

    Returns:
        `tokens` and `lengths` of the pieces; of each sentence the `counts` of its pieces, and `num_words`; of each word
        its `first` token, its `offsets` in the text, and its `tags`. These last three have at least one row, since the
        padding of a batch is read from the first.
    """
    words = [[sentence.text[start:end] for start, end in sentence.words] for sentence in sentences]
    encoder.add_words({word for row in words for word in row})
    found = [encoder.pieces(row) for row in shown_items(words, "tokenizing", len(words), "sentences")]
    pieces = Ragged(sequence for sequences, _ in found for sequence in sequences)
    arrays = {
        "tokens": pieces.values.numpy(),
        "lengths": pieces.lengths.numpy(),
        "counts": np.array([len(sequences) for sequences, _ in found], np.int64),
        "num_words": np.array([len(row) for row in words], np.int64),
        "first": np.array([place for _, first in found for place in first] or [(0, 0)], np.int64),
        "offsets": np.array([word for sentence in sentences for word in sentence.words] or [(0, 0)], np.int64),
    }
    if codes is not None:
        tags = [codes[tag] for sentence in sentences for tag in tags_of(sentence)[0]]
        arrays["tags"] = np.array(tags or [0], np.int64)
    return arrays


def tags_of(sentence: Sentence) -> tuple[list[str], int]:
    """The BIO tags of a sentence's words, and the number of entities that begin or end within a word.

    Such an entity is extended to the complete word.
    """
    tags = ["O"] * len(sentence.words)
    misaligned, word = 0, 0
    for entity in sentence.entities:
        while word < len(tags) and sentence.words[word][1] <= entity.start:
            word += 1
        begin = word
        while word < len(tags) and sentence.words[word][0] < entity.end:
            tags[word] = f"{'B' if word == begin else 'I'}-{entity.type}"
            word += 1
        aligned = word > begin and (sentence.words[begin][0], sentence.words[word - 1][1]) == entity[:2]
        misaligned += not aligned
    return tags, misaligned


class Tagging(TokenizedData):
    """Sentences with named entities.

    A batch is `(Sentences, target)`: the target is (B, W), the index of each word's tag in `tag_names`, -100 where
    there is no word. A word is classified at its first token. A sentence longer than `max_length` is cut into pieces,
    and is still scored as one sentence.

    Your own files are columns (a word and its tag on each line, an empty line after each sentence) or JSON (texts with
    spans, or tokens with tags): one file, or a folder with train, val (or dev) and test; all may be packed as .gz. If
    they are large, they are not kept in memory, and the sentences of a batch are tokenized when it is loaded.

    Args:
        dataset: a known data set, or the path of a file or folder.
        num_sentences: number of sentences in `names`.
        kwargs: as for TokenizedData, where max_length is that of a piece, and DataModule.
    """

    embedded: ClassVar[tuple[str, ...]] = ("names",)
    of_embedded: ClassVar[tuple[str, ...]] = ("num_sentences",)
    published: ClassVar[Remotes] = ENTITIES
    provides: ClassVar[tuple[str, ...]] = (*TokenizedData.provides, "tag_names", "known_entities")
    fitted: ClassVar[tuple[str, ...]] = (*TokenizedData.fitted, "entity_types", "known_entities", "unit")
    typed: ClassVar[tuple[str, str]] = ".txt", ".jsonl"
    min_length: ClassVar[int] = 8
    suffixes: ClassVar[tuple[str, ...]] = (*UNPACKED, *(f"{suffix}.gz" for suffix in UNPACKED))
    published_files: ClassVar[dict[str, PublishedFiles]] = {
        "WNUT17": PublishedFiles(
            "en_wnut17", {"train": "wnut17train.conll", "val": "emerging.dev.conll", "test": "emerging.test.annotated"}
        ),
        "CLUENER2020": PublishedFiles("zh_cluener2020", {"train": "train.json", "test": "test.json"}),
        "Resume": PublishedFiles(
            "zh_resume", {"train": "train.char.bmes", "val": "dev.char.bmes", "test": "test.char.bmes"}
        ),
    }

    def __init__(self, dataset: str = "names", num_sentences: int = 3000, **kwargs: Any) -> None:
        super().__init__(dataset=dataset, **kwargs)
        check_minimum("num_sentences", num_sentences, 10)
        self.num_sentences = num_sentences
        self.entity_types: list[str] = []
        self.known_entities: dict[str, str] = {}
        self.unit: Unit = "word"
        self.sentences: Rows[Sentence] = []
        self.encoder: Encoder | None = None
        self.layout: Layout | None = None  # of the training split's columns
        self.layouts: dict[Path, Layout | None] = {}
        self.type_counts: dict[str, Counter[str]] = {}  # of the entities in each split

    def state_dict(self) -> dict[str, Any]:
        """What was learned, and which column of the training split's file was what."""
        return super().state_dict() | {"layout": self.layout and self.layout._asdict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of an earlier run; checkpoints of earlier versions contain no columns."""
        super().load_state_dict(state_dict)
        self.layout = Layout(**layout) if (layout := state_dict.get("layout")) else None

    @property
    def tag_names(self) -> list[str]:
        """O, and a B and an I for each entity type."""
        return ["O", *(f"{letter}-{entity_type}" for entity_type in self.entity_types for letter in "BI")]

    def read(self) -> Source:
        """Read the sentences of all splits."""
        if self.is_embedded:
            self.sentences, splits = generated_names(self.num_sentences, seed=0)
            official = {split: torch.tensor(index) for split, index in splits.items()}
        else:
            official = self._read_files()
        if not self.restored:
            self.unit = infer_unit(self.sentences)
        self._cut(self.sentences)
        if not any(sentence.entities for sentence in self.sentences):
            raise DataError(f"{self.dataset}: no entity in {len(self.sentences)} sentences; all tags are O")
        return Source(len(self.sentences), None, official)

    def _read_files(self) -> dict[str, Tensor]:
        self.files = self.find_files()
        self.sentences, official, self._read_from, self._read_bytes = self._sentences(self.files)
        self._note_faults(Counter(fault for each in self.sentences for fault in each.faults), self.dataset)
        return official

    def _sentences(self, files: dict[str, Path], tagged: bool = True) -> RowsOfFiles[Sentence]:
        """The sentences of files; what is unusual about their columns is reported, once for files that are alike."""
        learned = None if tagged else self.layout
        formats = {file: infer_format(file, self.encoding, tagged, learned) for file in files.values()}
        self.layouts = {file: layout for file, (layout, _) in formats.items()}
        alike: dict[str, list[str]] = {}
        for file, (_, notes) in formats.items():
            if notes:
                alike.setdefault("; ".join(notes), []).append(file.name)
        for text, names in alike.items():
            self.note(f"{', '.join(names)}: {text}")
        parts = {split: [file] for split, file in files.items()}
        options = ["sentences and faults", self.encoding, tagged, *self.layouts.values()]
        read = partial(_read, layouts=self.layouts, encoding=self.encoding, tagged=tagged)
        return read_rows(parts, read, options, sentence_from_json, self.code, self.note, times=MEMORY_FACTOR)

    def _note_faults(self, counts: Counter[str], name: str) -> None:
        for fault, text in FAULTS.items():
            if counts[fault]:
                self.note(f"{name}: {counts[fault]} {text}")

    def _cut(self, sentences: Rows[Sentence]) -> None:
        if isinstance(sentences, StoredRows):
            sentences.from_json = partial(sentence_from_json, unit=self.unit)
            return
        for sentence in sentences:
            sentence.words = sentence.words or cut_words(sentence.text, self.unit)

    def check(self, source: Source, splits: Splits) -> None:
        """Also refuse entity types that the training split lacks; warn about entities within words."""
        super().check(source, splits)
        counts = {
            split: Counter(entity.type for sentence in chosen(self.sentences, index) for entity in sentence.entities)
            for split, index in splits._asdict().items()
        }
        self.type_counts = counts
        known = set(self.entity_types) if self.restored else set(counts["train"])
        for split in ("train", "val", "test"):
            for entity_type in sorted(set(counts[split]) - known):
                raise DataError(
                    f"{self.dataset}: the training split lacks entities of type {entity_type} "
                    f"({counts[split][entity_type]} in {split})"
                )
        misaligned = sum(tags_of(sentence)[1] for sentence in self.sentences)
        if misaligned:
            self.note(f"{self.dataset}: {misaligned} entities begin or end within a word and are extended to all of it")

    def example_hashes(self) -> Iterator[str]:
        """The sentences."""
        return (sentence.text for sentence in self.sentences)

    def class_sizes(self) -> dict[str, list[int]]:
        """Of each entity type, its entities in each split."""
        return {name: [count[name] for count in self.type_counts.values()] for name in self.entity_types}

    def facts(self) -> list[tuple[str, str]]:
        """The length of the sentences."""
        words = torch.tensor([len(sentence.words) for sentence in islice(self.sentences, COUNTED)])
        first = f" (of the first {COUNTED:,})" if len(self.sentences) > COUNTED else ""
        return [("sentences", sizes_fact(words, f"{self.unit}s") + first)]

    def shown(self, row: int) -> tuple[str, str]:
        """A sentence, and its entities."""
        sentence = self.sentences[row]
        entities = (f"{sentence.text[start:end]} ({type_})" for start, end, type_ in sentence.entities)
        return sentence.text, ", ".join(entities) or "no entity"

    def origin(self, row: int) -> str:
        """The publisher's identifier of a sentence, or the number of it."""
        return self.sentences[row].name or f"sentence {row + 1}"

    def as_vectors(self, rows: Tensor) -> Compared:
        """The sentences by their words."""
        return Compared(text_vectors(texts_at(self.example_hashes(), rows)), ALIKE_TEXTS)

    def contents(self) -> dict[str, str]:
        """Hashes of the sentences, their words and their entities; or of the files if these are large."""
        if isinstance(self.sentences, StoredRows):
            return hash_files([*self.files.values()])
        return cast("dict[str, str]", self.kept_fact("digests", self._digests, self.unit))

    def _digests(self) -> dict[str, str]:
        found = [entity for sentence in self.sentences for entity in sentence.entities]
        places = [place for start, end, _ in found for place in (start, end)]
        sizes = [len(sentence.entities) for sentence in self.sentences]
        return {
            "sentences": hash_texts(sentence.text for sentence in self.sentences),
            "words": hash_texts(str(sentence.words) for sentence in self.sentences),
            "entities": hash_texts(
                [*(entity.type for entity in found), hash_numbers(np.array(places), np.array(sizes))]
            ),
        }

    def fit(self, train: Tensor) -> None:
        """Learn the entity types, the tokenizer, and, for the baseline, the most frequent type of each name."""
        self.layout = next(iter(self.layouts.values()), None)
        counts: dict[str, Counter[str]] = {}
        entity_types: set[str] = set()
        for sentence in chosen(self.sentences, train):
            for entity in sentence.entities:
                entity_types.add(entity.type)
                name = sentence.text[entity.start : entity.end]
                if name in counts or len(counts) < MAX_NAMES:
                    counts.setdefault(name, Counter())[entity.type] += 1
        self.entity_types = sorted(entity_types)
        self.known_entities = {name: types.most_common(1)[0][0] for name, types in counts.items()}
        key = self.learning_key(train, self.unit)
        self.train_tokenizer(Repeatable(lambda: map(_words_with_spaces, chosen(self.sentences, train)), key))

    def examples(self, index: Tensor) -> TaggedExamples | LazyExamples:
        """Sentences with their tags."""
        return self._examples(self.sentences, index, {name: code for code, name in enumerate(self.tag_names)})

    def _examples(
        self, sentences: Rows[Sentence], index: Tensor, codes: dict[str, int] | None
    ) -> TaggedExamples | LazyExamples:
        encoder = self.encoder = self.encoder or Encoder(self.built_tokenizer, self.max_length)
        settings = [self.tokenizer_json, f"{self.max_length} {self.unit}"]
        if isinstance(sentences, StoredRows):
            make = partial(_tagged, sentences=sentences, encoder=encoder, codes=codes, padding=self.padding)
            return LazyExamples(make, index, [*sentences.key, *settings])
        some = [sentences[row] for row in index.tolist()]
        if sentences is self.sentences:
            key = [hash_numbers(index), codes, *settings, tokenizers.__version__, ENCODING]
            arrays = self.kept_part("examples", lambda: Kept(encoded(some, encoder, codes)), *key).arrays
        else:
            arrays = encoded(some, encoder, codes)
        return TaggedExamples([sentence.text for sentence in some], arrays, self.padding)

    def setup_test(self) -> None:
        """Also refuse entity types that the model does not know."""
        super().setup_test()
        for sentence in self.sentences:
            for entity in sentence.entities:
                if entity.type not in self.entity_types:
                    raise DataError(
                        f"{self.dataset}: an entity is of type {entity.type}, which is none of the model's: "
                        + ", ".join(self.entity_types)
                    )

    def export_inputs(self, model: nn.Module) -> ExportableModule:
        """A trained model that reads sentences."""
        return ExportableSentences(model, self)

    def read_input(self, path: Path) -> tuple[TaggedExamples | LazyExamples, list[str]]:
        """Sentences of a file as for training, which needs no tags, or of plain text, one a line."""
        if path.is_dir():
            raise DataError(f"{path}: expected a file with a sentence on each line, found a folder")
        sentences = self._sentences({"": path}, tagged=False).rows
        names, faults = [], Counter[str]()
        for row, sentence in enumerate(sentences, start=1):
            names.append(sentence.name or str(row))
            faults.update(sentence.faults)
        self._note_faults(faults, path.name)
        self._cut(sentences)
        return self._examples(sentences, torch.arange(len(sentences)), None), names


def _read(
    path: Path, layouts: dict[Path, Layout | None], encoding: str, tagged: bool, note: Note
) -> Iterator[Sentence]:
    return read_sentences(path, encoding, tagged, layouts[path])


def _words_with_spaces(sentence: Sentence) -> str:
    return " ".join(sentence.text[start:end] for start, end in sentence.words)


def _tagged(
    index: Tensor, sentences: Rows[Sentence], encoder: Encoder, codes: dict[str, int] | None, padding: int
) -> TaggedExamples:
    some = [sentences[row] for row in index.tolist()]
    return TaggedExamples([sentence.text for sentence in some], encoded(some, encoder, codes), padding)
