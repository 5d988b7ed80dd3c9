"""Preferences: pairs of answers, of which one is better."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.chat import TemplatedData
from datamodules.checking.facts import sizes_fact
from datamodules.errors import DataError
from datamodules.files.conversations import Message, is_answer, spoken
from datamodules.files.preference_pairs import Preference, read_preferences
from datamodules.files.records import record_files
from datamodules.files.splits import Note
from datamodules.loading.examples import Source
from datamodules.loading.sampling import Splits, chosen
from datamodules.storage.fingerprint import hash_files, hash_texts
from datamodules.storage.rows_of_files import read_rows
from datamodules.storage.stored_rows import Rows, StoredRows
from datamodules.storage.streaming import Repeatable
from datamodules.synthetic.conversations import generated_pairs
from datamodules.tokenized import check_minimum
from datamodules.tokenizing.chat_template import Example
from datamodules.tokenizing.packed import Packed
from datamodules.tokenizing.packing import Answered


class Pairs(NamedTuple):
    """A batch of pairs; in both, a row is one conversation, of whose tokens the answer counts.

    Args:
        chosen: (B, T) the conversations with the better answers.
        rejected: (B, T') with the other ones.
        index: (B,) which pair of all splits each is, whatever the order and the epoch in which it is read.
    """

    chosen: Packed
    rejected: Packed
    index: Tensor  # type: ignore[assignment]  # which hides the method of tuples


class PairedRows(Dataset[Pairs]):
    """Pairs of conversations; a batch is `Pairs`.

    Args:
        tokens: of both conversations of each pair, one after the other.
        index: the pairs of this split.
        padding: token that fills up the rows.
    """

    def __init__(self, tokens: Answered, index: Tensor, padding: int) -> None:
        self.tokens = tokens
        self.index = index
        self.padding = padding
        self.lengths = torch.maximum(tokens.sizes[2 * index], tokens.sizes[2 * index + 1])

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Tensor) -> Pairs:
        pairs = self.index[index]
        return Pairs(self._rows(2 * pairs), self._rows(2 * pairs + 1), pairs)

    def _rows(self, examples: Tensor) -> Packed:
        width = int(self.tokens.sizes[examples].max())
        return self.tokens.packed(examples, torch.ones_like(examples), width, self.padding)._replace(documents=None)


class Preferences(TemplatedData):
    """Conversations that go on in two ways, one of which is better.

    A batch is `Pairs`. A pair of which one conversation is longer than the window is left out, and counted; so are
    those whose answers are equal.

    Your own files are JSON, JSON lines or Parquet: one file, or a folder with train, val (or dev) and test. Each row
    has `chosen` and `rejected`: texts, messages or complete conversations; and, unless they are complete, what they
    answer: `prompt`, `question`, `instruction` with `input`, or `messages` or `conversations`.

    Args:
        dataset: a known data set, or the path of a file or folder.
        num_pairs: number of pairs in `short_answers`.
        kwargs: as for TemplatedData, LanguageData and DataModule.
    """

    embedded: ClassVar[tuple[str, ...]] = ("short_answers",)
    of_embedded: ClassVar[tuple[str, ...]] = ("num_pairs",)

    def __init__(self, dataset: str = "short_answers", num_pairs: int = 2000, **kwargs: Any) -> None:
        super().__init__(dataset=dataset, **kwargs)
        check_minimum("num_pairs", num_pairs, 20)
        self.num_pairs = num_pairs
        self.pairs: Rows[Preference] = []
        self.tokens: Answered

    def read(self) -> Source:
        """Read the pairs of all splits."""
        if self.is_embedded:
            made, official = generated_pairs(self.num_pairs, seed=0)
            self.pairs = [
                Preference(pair.asked, spoken(pair.chosen, "assistant", ""), spoken(pair.rejected, "assistant", ""))
                for pair in made
            ]
            return Source(len(self.pairs), official=official)

        def read(*paths: Path, note: Note) -> Iterator[Preference]:
            for path in paths:
                for pair in read_preferences(path, self.encoding, note):
                    asked, better, other = map(self.filled, (pair.asked, pair.chosen, pair.rejected))
                    yield Preference(asked, better, other, pair.tools, pair.origin)

        self.files = record_files(self.path, self.note)
        options = ["preferences", self.encoding, self.fill]
        found = read_rows(self.files, read, options, lambda row: Preference(*row), self.code, self.note, times=2)
        self.pairs, official, self._read_from, self._read_bytes = found
        self.tell_placeholders(map(_text, self.pairs), len(self.pairs))
        return Source(len(self.pairs), official=official)

    def example_hashes(self) -> Iterator[str]:
        """What is asked, and both answers."""
        return (pair.identity() for pair in self.pairs)

    def contents(self) -> dict[str, str]:
        """Hashes of the pairs, or of their files if these are large."""
        if isinstance(self.pairs, StoredRows):
            return hash_files([file for files in self.files.values() for file in files])
        return {"pairs": self.kept_fact("digest", lambda: hash_texts(self.example_hashes()))}

    def fit(self, train: Tensor) -> None:
        """Find the tokenizer and the chat template."""
        key = self.learning_key(train)
        self.find_vocabulary(Repeatable(lambda: map(_text, chosen(self.pairs, train)), key))
        self.find_template()

    def arranged(self, splits: Splits) -> Splits:
        """The pairs of each split that are not too long."""
        self.tokens = self.tokens_of(self.pairs, "pairs")
        sizes = self.tokens.sizes.view(-1, 2).amax(1)  # of each pair
        fits = sizes <= self.window
        if not fits.all():
            self.note(
                f"{self.dataset}: left out {int((~fits).sum()):,} of {len(fits):,} pairs, which are longer than "
                f"--data.window {self.window}; the longest needs {int(sizes.max()):,}"
            )
        for name, index in splits._asdict().items():
            if len(index) and not fits[index].any():
                raise DataError(
                    f"{self.dataset}: all {len(index)} pairs of the {name} split are longer than --data.window "
                    f"{self.window}; the longest of all needs {int(sizes.max())}"
                )
        return Splits(*(index[fits[index]] for index in splits))

    def examples_of(self, row: Preference) -> list[Example]:
        """Both conversations."""
        asked, both = [message | {"counts": False} for message in row.asked], []
        for side in (row.chosen, row.rejected):
            try:
                examples = [*self.chat.examples([*asked, *side], row.tools)]
            except DataError as error:
                raise DataError(f"{row.origin}: {error}") from None
            if len(examples) != 1:
                raise DataError(
                    f"{row.origin}: the chat template writes the answers before the last otherwise once a "
                    f"conversation goes on; expected one answer in chosen and in rejected"
                )
            both += examples
        return both

    def examples(self, index: Tensor) -> PairedRows:
        """Pairs of conversations."""
        return PairedRows(self.tokens, index, self.end)

    def facts(self) -> list[tuple[str, str]]:
        """The pairs, and their length in tokens."""
        chosen, rejected = self.tokens.lengths.view(-1, 2).T
        return [
            ("pairs", f"{len(self.pairs):,}"),
            ("chosen", f"conversations of {sizes_fact(chosen, 'tokens')}"),
            ("rejected", f"conversations of {sizes_fact(rejected, 'tokens')}"),
        ]

    def shown(self, row: int) -> tuple[str, str]:
        """What is asked, and the better answer with the other one."""
        pair = self.pairs[row]
        asked = pair.asked[-1]["content"] if pair.asked else ""
        return asked, f"{_answer(pair.chosen)} (not: {_answer(pair.rejected)})"

    def origin(self, row: int) -> str:
        """The file and line of a pair."""
        return self.pairs[row].origin or f"pair {row + 1}"

    def inputs_shown(self, rows: Tensor) -> list[str]:
        """What is asked, with its special tokens."""
        return [self.chat.text(self.pairs[row].asked, True, self.pairs[row].tools) for row in rows.tolist()]


def _text(pair: Preference) -> str:
    return "\n".join(message["content"] for side in (pair.asked, pair.chosen, pair.rejected) for message in side)


def _answer(side: list[Message]) -> str:
    answer = next(message for message in side if is_answer(message))
    return str(answer["content"] or json.dumps(answer["tool_calls"], ensure_ascii=False))
