"""Sentences with named entities: cut into words that carry tags, and words into tokens."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer, pre_tokenizers
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from datamodules.export.exportable import ExportableModule
from datamodules.files.entities import (
    COLUMN_SUFFIXES,
    Sentence,
    Unit,
    cut_words,
    read_sentences,
    sentence_of,
    usual_unit,
)
from datamodules.files.text_files import Repeatable, split_files
from datamodules.loading.examples import Source
from datamodules.loading.sampling import Splits, chosen, ranges
from datamodules.storage.catalogue import ENTITIES, Remotes
from datamodules.storage.download import DataError
from datamodules.storage.fingerprint import hash_files, hash_numbers, hash_texts
from datamodules.storage.stored_rows import MadeAsNeeded, StoredRows, examples_of, read_rows
from datamodules.synthetic.names import generated_names
from datamodules.tokenizing.tokenized import TokenizedData, at_least
from datamodules.tokenizing.tokens import Ragged, Text, padding_of

IGNORED = -100  # the target where there is no word
UNPACKED = (*COLUMN_SUFFIXES, ".txt", ".tsv", ".jsonl", ".json")
SUFFIXES = (*UNPACKED, *(f"{suffix}.gz" for suffix in UNPACKED))
FILES = {
    "WNUT17": {"train": "wnut17train.conll", "val": "emerging.dev.conll", "test": "emerging.test.annotated"},
    "CLUENER2020": {"train": "train.json", "test": "test.json"},
    "Resume": {"train": "train.char.bmes", "val": "dev.char.bmes", "test": "test.char.bmes"},
}
FOLDERS = {"WNUT17": "en_wnut17", "CLUENER2020": "zh_cluener2020", "Resume": "zh_resume"}
SENTENCE_ENDS = "。！？；!?;."
WORDS = 8  # times as much memory as other texts: there is a place, a token and a tag for each word
MOST_WORDS = 100_000  # whose tokens are remembered
MOST_NAMES = 100_000  # that the baseline knows: enough for it, and they stand in every checkpoint


class Sentences(NamedTuple):
    """B sentences as P pieces, of which a long sentence takes several.

    Args:
        ids: (P, T) token numbers of the pieces.
        lengths: (P,) tokens in each.
        first: (B, W) where each word's first token stands in the flattened ids.
        num_words: (B,)
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

    def __init__(self, model: nn.Module, data: "Tagging") -> None:
        super().__init__(model, data)
        self.inputs = {"ids": ("pieces", "tokens"), "lengths": ("pieces",), "first": ("batch", "words")}

    def tensors(self, batch: Any) -> tuple[Tensor, ...]:
        """The tensors that the network reads."""
        return batch.ids, batch.lengths, batch.first

    def forward(self, ids: Tensor, lengths: Tensor, first: Tensor) -> Tensor:  # type: ignore[override]
        """Scores of each word's tags (B, W, K)."""
        unused = first[:, 0]  # needed only to decode the output
        return self.network(Sentences(ids, lengths, first, unused, unused, []))


class Encoder:
    """Cuts words into tokens, and what is too long into pieces.

    Args:
        tokenizer: of the model.
        max_length: tokens in the longest piece, those that frame it included.
    """

    def __init__(self, tokenizer: Tokenizer, max_length: int) -> None:
        self.tokenizer = tokenizer
        if isinstance(tokenizer.pre_tokenizer, pre_tokenizers.ByteLevel):
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(
                add_prefix_space=True
            )  # as before any word but the first
        frame = tokenizer.encode("a")
        special = frame.special_tokens_mask
        inside = special.index(0) if 0 in special else len(special)
        self.before = frame.ids[:inside]
        self.after = [token for token, mark in zip(frame.ids[inside:], special[inside:], strict=True) if mark]
        self.room = max_length - len(self.before) - len(self.after)
        unknown = tokenizer.token_to_id("[UNK]")
        self.unknown = padding_of(tokenizer) if unknown is None else unknown
        self.known: dict[str, list[int]] = {}

    def learn(self, words: set[str]) -> None:
        """Look up words, each once."""
        if len(self.known) > MOST_WORDS:
            self.known.clear()
        new = sorted(words - self.known.keys())
        for word, encoding in zip(new, self.tokenizer.encode_batch(new, add_special_tokens=False), strict=True):
            self.known[word] = (encoding.ids or [self.unknown])[: self.room]

    def pieces(self, words: Sequence[str]) -> tuple[list[list[int]], list[tuple[int, int]]]:
        """The tokens of each piece, and for each word the piece and the place in it of its first token.

        A piece that is full ends after the last sentence in its second half, or else after the last word.
        """
        cuts, used, last_end = [0], 0, 0
        costs = [len(self.known[word]) for word in words]
        for number, cost in enumerate(costs):
            if used + cost > self.room:
                begin = cuts[-1]
                at = last_end if last_end > begin and sum(costs[begin:last_end]) * 2 > self.room else number
                cuts.append(at)
                used = sum(costs[at:number])
            used += cost
            if words[number][-1] in SENTENCE_ENDS:
                last_end = number + 1
        pieces, first = [], []
        for piece, (start, end) in enumerate(zip(cuts, [*cuts[1:], len(words)], strict=True)):
            tokens = list(self.before)
            for word in words[start:end]:
                first.append((piece, len(tokens)))
                tokens += self.known[word]
            pieces.append(tokens + self.after)
        return pieces, first


class TaggedExamples(Dataset[Any]):
    """Sentences, their pieces end to end and their words end to end.

    Args:
        sentences: with words.
        encoder: of their words.
        codes: of the tags; None where only predictions are wanted.
        padding: number of the padding token.
    """

    def __init__(
        self, sentences: Sequence[Sentence], encoder: Encoder, codes: dict[str, int] | None, padding: int
    ) -> None:
        self.texts = [sentence.text for sentence in sentences]
        self.padding = padding
        cut = [[sentence.text[start:end] for start, end in sentence.words] for sentence in sentences]
        encoder.learn({word for words in cut for word in words})
        encoded = [encoder.pieces(words) for words in cut]
        self.tokens = Ragged([piece for pieces, _ in encoded for piece in pieces])
        self.num_pieces = torch.tensor([len(pieces) for pieces, _ in encoded], dtype=torch.long)
        self.num_words = torch.tensor([len(words) for words in cut], dtype=torch.long)
        self.first = torch.tensor([place for _, first in encoded for place in first], dtype=torch.long).view(-1, 2)
        self.offsets = torch.tensor([word for sentence in sentences for word in sentence.words]).long().view(-1, 2)
        self.tags = None
        if codes is not None:
            self.tags = torch.tensor([codes[tag] for sentence in sentences for tag in tags_of(sentence)[0]]).long()
        self.first_piece = self.num_pieces.cumsum(0) - self.num_pieces
        self.first_word = self.num_words.cumsum(0) - self.num_words
        before = F.pad(self.tokens.lengths.cumsum(0), (1, 0))
        self.lengths = before[self.first_piece + self.num_pieces] - before[self.first_piece]  # all tokens of each

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: Tensor) -> Any:
        num_pieces, num_words = self.num_pieces[index], self.num_words[index]
        text = self.tokens.padded(ranges(self.first_piece[index], num_pieces), self.padding)
        places = torch.arange(max(int(num_words.max()), 1))
        missing = places >= num_words[:, None]  # (B, W)
        rows = (self.first_word[index][:, None] + places).clamp(max=max(len(self.first) - 1, 0))
        if len(self.first) == 0:  # nothing but empty sentences
            first, offsets = torch.zeros(*missing.shape, 2, dtype=torch.long), torch.zeros(*missing.shape, 2).long()
        else:
            first, offsets = self.first[rows], self.offsets[rows]  # (B, W, 2)
        piece = first[..., 0] + (num_pieces.cumsum(0) - num_pieces)[:, None]
        flat = (piece * text.ids.shape[1] + first[..., 1]).masked_fill(missing, 0)
        batch = Sentences(
            ids=text.ids,
            lengths=text.lengths,
            first=flat,
            num_words=num_words,
            offsets=offsets.masked_fill(missing[..., None], 0),
            texts=[self.texts[number] for number in index.tolist()],
        )
        return batch if self.tags is None else (batch, self.tags[rows].masked_fill(missing, IGNORED))


def tags_of(sentence: Sentence) -> tuple[list[str], int]:
    """The BIO tags of a sentence's words, and how many entities begin or end within a word.

    Such an entity is taken to be all of that word.
    """
    tags = ["O"] * len(sentence.words)
    uneven, number = 0, 0
    for entity in sentence.entities:
        while number < len(tags) and sentence.words[number][1] <= entity.start:
            number += 1
        begin = number
        while number < len(tags) and sentence.words[number][0] < entity.end:
            tags[number] = f"{'B' if number == begin else 'I'}-{entity.type}"
            number += 1
        whole = number > begin and (sentence.words[begin][0], sentence.words[number - 1][1]) == entity[:2]
        uneven += not whole
    return tags, uneven


class Tagging(TokenizedData):
    """Sentences in which names are to be found.

    A batch is `(Sentences, target)`: the target is (B, W), the number of each word's tag in `tag_names`, -100 where
    there is no word. A word's label stands at its first token; a sentence longer than `max_length` is cut into
    pieces, and its words are judged as one sentence all the same.

    Your own files are columns (a word and its tag on each line, an empty line after each sentence; BIO, BIOES, BMES
    or BILOU) or JSON lines (`{"text": …, "entities": [{"start": …, "end": …, "type": …}]}`): one file, or a folder
    with train, val (or dev) and test; all may be packed as .gz. Where they are large, they are not held in memory, and
    the sentences of a batch are cut into tokens when it is wanted.

    Args:
        dataset: a known data set, or the path of a file or folder.
        num_sentences: how many sentences `names` has.
        kwargs: as for TokenizedData, whose max_length is that of a sentence's longest piece, and DataModule.
    """

    embedded: ClassVar[tuple[str, ...]] = ("names",)
    published: ClassVar[Remotes] = ENTITIES
    provides: ClassVar[tuple[str, ...]] = (*TokenizedData.provides, "tag_names", "known_entities")
    learned: ClassVar[tuple[str, ...]] = (*TokenizedData.learned, "entity_types", "known_entities", "unit")
    least_length: ClassVar[int] = 8

    def __init__(self, dataset: str = "names", num_sentences: int = 3000, **kwargs: Any) -> None:
        super().__init__(dataset=dataset, **kwargs)
        at_least("num_sentences", num_sentences, 10)
        self.num_sentences = num_sentences
        self.entity_types: list[str] = []
        self.known_entities: dict[str, str] = {}
        self.unit: Unit = "word"
        self.sentences: list[Sentence] | StoredRows[Sentence] = []
        self.files: list[Path] = []
        self.encoder: Encoder | None = None

    @property
    def tag_names(self) -> list[str]:
        """O, and a B and an I for each type of entity."""
        return ["O", *(f"{letter}-{kind}" for kind in self.entity_types for letter in "BI")]

    def _encoder(self) -> Encoder:
        if self.encoder is None:
            self.encoder = Encoder(self.built_tokenizer, self.max_length)
        return self.encoder

    def prepare_data(self) -> None:
        """Download what is missing."""
        if self.is_published:
            self.folder_of(list(FILES[self.dataset].values()), FOLDERS[self.dataset])

    def read(self) -> Source:
        """Read the sentences of all splits."""
        if self.is_embedded:
            self.sentences, places = generated_names(self.num_sentences, seed=0)
            official = {split: torch.tensor(numbers) for split, numbers in places.items()}
        else:
            official = self._read_files()
        if not self.restored:
            self.unit = usual_unit(self.sentences)
        self._cut(self.sentences)
        if not any(sentence.entities for sentence in self.sentences):
            raise DataError(f"{self.dataset}: no entity in {len(self.sentences)} sentences; all tags are O")
        return Source(len(self.sentences), None, official)

    def _read_files(self) -> dict[str, Tensor]:
        if self.is_published:
            folder = self.folder_of(list(FILES[self.dataset].values()), FOLDERS[self.dataset])
            files = {split: folder / name for split, name in FILES[self.dataset].items()}
        elif self.path.is_dir():
            files = split_files(self.path, SUFFIXES)
        else:
            files = {"": self.path}
        self.sentences, official = self._sentences(files)
        self.files = list(files.values())
        overlaps = sum(sentence.overlaps for sentence in self.sentences)
        if overlaps:
            self.note(f"{self.dataset}: {overlaps} entities overlap a longer one and are left out")
        return official

    def _sentences(
        self, files: dict[str, Path], tagged: bool = True
    ) -> tuple[list[Sentence] | StoredRows[Sentence], dict[str, Tensor]]:
        read = partial(read_sentences, encoding=self.encoding, tagged=tagged)
        parts = {split: [file] for split, file in files.items()}
        return read_rows(parts, read, ["sentences", self.encoding, tagged], made=sentence_of, times=WORDS)

    def _cut(self, sentences: list[Sentence] | StoredRows[Sentence]) -> None:
        if isinstance(sentences, StoredRows):
            sentences.made = partial(sentence_of, unit=self.unit)
            return
        for sentence in sentences:
            sentence.words = sentence.words or cut_words(sentence.text, self.unit)

    def check(self, source: Source, splits: Splits) -> None:
        """Refuse, besides, a type of entity that the training split lacks; take note of what is odd."""
        super().check(source, splits)
        counts = {
            split: Counter(entity.type for sentence in chosen(self.sentences, index) for entity in sentence.entities)
            for split, index in splits._asdict().items()
        }
        known = set(self.entity_types) if self.restored else set(counts["train"])
        for split in ("train", "val", "test"):
            for kind in sorted(set(counts[split]) - known):
                raise DataError(
                    f"{self.dataset}: the training split lacks entities of type {kind} "
                    f"({counts[split][kind]} in {split})"
                )
        uneven = sum(tags_of(sentence)[1] for sentence in self.sentences)
        if uneven:
            self.note(f"{self.dataset}: {uneven} entities begin or end within a word and are taken to be all of it")

    def example_hashes(self) -> Iterator[str]:
        """The sentences."""
        return (sentence.text for sentence in self.sentences)

    def contents(self) -> dict[str, str]:
        """Of the sentences, of where their words stand and of the entities; or of the files where these are large."""
        if isinstance(self.sentences, StoredRows):
            return hash_files(self.files)
        entities = [entity for sentence in self.sentences for entity in sentence.entities]
        places = [place for start, end, _ in entities for place in (start, end)]
        sizes = [len(sentence.entities) for sentence in self.sentences]
        return {
            "sentences": hash_texts(sentence.text for sentence in self.sentences),
            "words": hash_texts(str(sentence.words) for sentence in self.sentences),
            "entities": hash_texts(
                [*(kind for _, _, kind in entities), hash_numbers(np.array(places), np.array(sizes))]
            ),
        }

    def fit(self, train: Tensor) -> None:
        """Learn the types, the tokenizer, and, for the baseline, which names are of which type."""
        types: dict[str, Counter[str]] = {}
        kinds: set[str] = set()
        for sentence in chosen(self.sentences, train):
            for start, end, kind in sentence.entities:
                kinds.add(kind)
                name = sentence.text[start:end]
                if name in types or len(types) < MOST_NAMES:
                    types.setdefault(name, Counter())[kind] += 1
        self.entity_types = sorted(kinds)
        self.known_entities = {name: counts.most_common(1)[0][0] for name, counts in types.items()}
        self.train_tokenizer(Repeatable(lambda: map(_spaced, chosen(self.sentences, train))))

    def examples(self, index: Tensor) -> TaggedExamples | MadeAsNeeded:
        """Sentences with their tags."""
        codes = {name: number for number, name in enumerate(self.tag_names)}
        return self._examples(self.sentences, index, codes)

    def _examples(
        self, sentences: list[Sentence] | StoredRows[Sentence], index: Tensor, codes: dict[str, int] | None
    ) -> TaggedExamples | MadeAsNeeded:
        make = partial(_tagged, sentences=sentences, encoder=self._encoder(), codes=codes, padding=self.padding)
        return examples_of(sentences, make, index, [self.tokenizer_json, f"{self.max_length} {self.unit}"])

    def setup_test(self) -> None:
        """Refuse, besides, types of entities that the model does not know."""
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

    def read_input(self, path: Path) -> tuple[TaggedExamples | MadeAsNeeded, list[str]]:
        """Sentences of a file: plain text (one a line), JSON lines with a text, or a word on each line."""
        if path.is_dir():
            raise DataError(f"{path}: expected a file with a sentence on each line, found a folder")
        sentences, _ = self._sentences({"": path}, tagged=False)
        self._cut(sentences)
        names = [str(number + 1) for number in range(len(sentences))]
        return self._examples(sentences, torch.arange(len(sentences)), None), names


def _spaced(sentence: Sentence) -> str:
    return " ".join(sentence.text[start:end] for start, end in sentence.words)


def _tagged(
    index: Tensor,
    sentences: list[Sentence] | StoredRows[Sentence],
    encoder: Encoder,
    codes: dict[str, int] | None,
    padding: int,
) -> TaggedExamples:
    return TaggedExamples([sentences[number] for number in index.tolist()], encoder, codes, padding)
