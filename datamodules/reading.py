"""Questions about texts: tokens of both side by side, in windows where a text is long."""

from array import array
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from datamodules.export.exportable import Axes, ExportableModule
from datamodules.files.squad import Book, Question, read_books
from datamodules.files.text_files import Repeatable, split_files
from datamodules.loading.examples import Source
from datamodules.loading.sampling import Splits, chosen, ranges
from datamodules.storage.catalogue import QUESTIONS, Remotes
from datamodules.storage.download import DataError
from datamodules.storage.fingerprint import hash_files, hash_numbers, hash_texts
from datamodules.storage.stored_rows import MadeAsNeeded, StoredRows, examples_of
from datamodules.synthetic.facts import generated_facts
from datamodules.tokenizing.tokenized import TokenizedData, at_least
from datamodules.tokenizing.tokens import Ragged, Text, padding_of

UNKNOWN_PLACE = -100  # the target of a question whose answer's place is not known
FILES = {
    "SQuAD": {"train": "train-v1.1.json", "test": "dev-v1.1.json"},  # the publisher keeps the test splits
    "SQuAD2": {"train": "train-v2.0.json", "test": "dev-v2.0.json"},
    # Its answers are of 10 tokens on average in the one file, of 29 in the other, which marks whole sentences.
    "CMRC2018": {"train": "cmrc2018_dev.json", "test": "cmrc2018_trial.json"},
    "XQuAD-en": {"": "xquad.en.json"},
    "XQuAD-zh": {"": "xquad.zh.json"},
}
FOLDERS = {"CMRC2018": "zh_cmrc2018", "XQuAD-en": "xquad", "XQuAD-zh": "xquad", "SQuAD": "squad", "SQuAD2": "squad"}


class Passages(NamedTuple):
    """B questions with their contexts, in P windows.

    Args:
        ids: (P, T) a question and a window of its context, framed as the tokenizer does.
        lengths: (P,) tokens in each.
        context_start: (P,) where the context's part begins.
        owner: (P,) the question of each window.
        first: (B, N) where each token of the context stands in the flattened ids: in the window that shows most
            of what is around it.
        num_tokens: (B,) tokens of each context.
        offsets: (B, N, 2) start and end of each token in its context.
        contexts: the B contexts.
        questions: the B questions.
    """

    ids: Tensor
    lengths: Tensor
    context_start: Tensor
    owner: Tensor
    first: Tensor
    num_tokens: Tensor
    offsets: Tensor
    contexts: list[str]
    questions: list[str]

    @property
    def mask(self) -> Tensor:
        """(P, T), true where there is a token."""
        return Text(self.ids, self.lengths).mask

    @property
    def segments(self) -> Tensor:
        """(P, T), 1 in the context's part and 0 elsewhere."""
        places = torch.arange(self.ids.shape[1], device=self.ids.device)
        return ((places >= self.context_start[:, None]) & self.mask).long()

    @property
    def token_mask(self) -> Tensor:
        """(B, N), true where there is a token of the context."""
        return torch.arange(self.first.shape[1], device=self.first.device) < self.num_tokens[:, None]


class ExportablePassages(ExportableModule):
    """Reads token ids of questions with windows of their contexts, and the position of each token in them."""

    output = "scores"

    def __init__(self, model: nn.Module, data: "Reading") -> None:
        super().__init__(model, data)
        windows: Axes = ("windows",)
        self.inputs = {
            "ids": ("windows", "tokens"),
            "lengths": windows,
            "context_start": windows,
            "owner": windows,
            "first": ("batch", "places"),
        }

    def tensors(self, batch: Any) -> tuple[Tensor, ...]:
        """The tensors that the network reads."""
        return batch.ids, batch.lengths, batch.context_start, batch.owner, batch.first

    def forward(  # type: ignore[override]
        self, ids: Tensor, lengths: Tensor, context_start: Tensor, owner: Tensor, first: Tensor
    ) -> Tensor:
        """Scores of starts and ends (B, 2, N + 1), those of "no answer" first."""
        unused = first[:, 0]  # needed only to decode the output
        return self.network(Passages(ids, lengths, context_start, owner, first, unused, unused, [], []))


class Answers(NamedTuple):
    """What is right.

    Args:
        spans: (B, 2) first and last token of the answer; -1 where there is none, -100 where its place is not known.
        texts: every right answer to each question; none where the context holds no answer.
    """

    spans: Tensor
    texts: list[list[str]]


class Frame:
    """How a tokenizer puts two texts side by side.

    Args:
        tokenizer: of the model.

    Raises:
        DataError: it does not frame pairs, so that there is no token to say "no answer" with.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        pair = tokenizer.encode("a", "a")
        marks = pair.special_tokens_mask
        if not marks or not marks[0]:
            raise DataError("--data.tokenizer: puts no token such as [CLS] before a pair of texts; use wordpiece")
        plain = [place for place, mark in enumerate(marks) if not mark]
        middle = [place for place in range(plain[0], plain[-1]) if marks[place]]
        self.before = pair.ids[: plain[0]]
        self.between = [pair.ids[place] for place in middle]
        self.after = pair.ids[plain[-1] + 1 :]
        self.size = len(self.before) + len(self.between) + len(self.after)


def windows(size: int, room: int, stride: int) -> list[tuple[int, int]]:
    """Start and end of windows that cover so many tokens.

    Args:
        size: tokens to cover.
        room: tokens in the longest window.
        stride: by how many a window is moved on.
    """
    starts = [0]
    while starts[-1] + room < size:
        starts.append(starts[-1] + min(stride, room))
    return [(start, min(start + room, size)) for start in starts]


def best_windows(spans: Sequence[tuple[int, int]], size: int) -> list[int]:
    """For each token the window in which the nearer of the two edges is farthest, the first of several.

    Args:
        spans: start and end of each window.
        size: number of tokens.
    """
    places = np.arange(size)
    starts, ends = np.array(spans).T[:, :, None]
    around = np.minimum(places - starts, ends - 1 - places)  # (windows, tokens), below 0 outside
    return around.argmax(axis=0).tolist()


def token_span(offsets: Sequence[tuple[int, int]], start: int, end: int) -> tuple[int, int] | None:
    """First and last token of the characters from start to end; None where no token holds any of them."""
    inside = [number for number, (first, last) in enumerate(offsets) if first < end and last > start]
    return (inside[0], inside[-1]) if inside else None


class ReadingExamples(Dataset[Any]):
    """Questions with their contexts' windows end to end.

    Args:
        book: contexts and questions.
        index: the questions that make this split.
        tokenizer: of the model.
        max_length: tokens in the longest window with its question.
        stride: tokens by which a window is moved on.
        answered: whether batches have targets.
    """

    def __init__(
        self, book: Book, index: Tensor, tokenizer: Tokenizer, max_length: int, stride: int, answered: bool
    ) -> None:
        self.questions = [book.questions[number] for number in index.tolist()]
        self.contexts = book.contexts
        self.padding = padding_of(tokenizer)
        self.answered = answered
        frame = Frame(tokenizer)
        used = sorted({question.context for question in self.questions})
        texts = [book.contexts[number] for number in used]
        encoded = dict(zip(used, tokenizer.encode_batch(texts, add_special_tokens=False), strict=True))
        asked = tokenizer.encode_batch([question.text for question in self.questions], add_special_tokens=False)
        pieces, starts, counts, spans = [], [], [], []
        first = [np.empty((0, 2), np.int32)]  # as lists of numbers they took twenty times the file's size
        for question, words in zip(self.questions, asked, strict=True):
            context = encoded[question.context]
            head = [*frame.before, *words.ids[: max_length // 2 - frame.size], *frame.between]
            cut = windows(len(context.ids), max_length - len(head) - len(frame.after), stride)
            pieces += [array("i", head + context.ids[start:end] + frame.after) for start, end in cut]
            starts += [len(head)] * len(cut)
            counts.append(len(cut))
            best = np.array(best_windows(cut, len(context.ids)), np.int32)
            start_of = np.array([start for start, _ in cut], np.int32)
            first.append(np.stack([best, len(head) + np.arange(len(best), dtype=np.int32) - start_of[best]], axis=1))
            spans.append(_target(question, context.offsets))
        self.tokens = Ragged(pieces)
        self.context_start = torch.tensor(starts, dtype=torch.long)
        self.num_windows = torch.tensor(counts, dtype=torch.long)
        self.num_tokens = torch.tensor([len(encoded[question.context].ids) for question in self.questions]).long()
        self.first = torch.from_numpy(np.concatenate(first))
        self.offsets = torch.tensor([place for number in used for place in encoded[number].offsets]).int().view(-1, 2)
        sizes = torch.tensor([len(encoded[number].ids) for number in used], dtype=torch.long)
        before = dict(zip(used, (sizes.cumsum(0) - sizes).tolist(), strict=True))
        self.first_offset = torch.tensor([before[question.context] for question in self.questions]).long()
        self.spans = torch.tensor(spans, dtype=torch.long).view(-1, 2)
        self.first_window = self.num_windows.cumsum(0) - self.num_windows
        self.first_token = self.num_tokens.cumsum(0) - self.num_tokens
        sums = F.pad(self.tokens.lengths.cumsum(0), (1, 0))
        self.lengths = sums[self.first_window + self.num_windows] - sums[self.first_window]  # of all its windows

    def __len__(self) -> int:
        return len(self.questions)

    def __getitem__(self, index: Tensor) -> Any:
        counts, sizes = self.num_windows[index], self.num_tokens[index]
        chosen = ranges(self.first_window[index], counts)
        text = self.tokens.padded(chosen, self.padding)
        places = torch.arange(max(int(sizes.max()), 1))
        missing = places >= sizes[:, None]  # (B, N)
        rows = (self.first_token[index][:, None] + places).clamp(max=max(len(self.first) - 1, 0))
        first = self.first[rows].long()  # (B, N, 2), window and place in it
        window = first[..., 0] + (counts.cumsum(0) - counts)[:, None]
        offset_rows = (self.first_offset[index][:, None] + places).clamp(max=max(len(self.offsets) - 1, 0))
        questions = [self.questions[number] for number in index.tolist()]
        batch = Passages(
            ids=text.ids,
            lengths=text.lengths,
            context_start=self.context_start[chosen],
            owner=torch.repeat_interleave(torch.arange(len(index)), counts),
            first=(window * text.ids.shape[1] + first[..., 1]).masked_fill(missing, 0),
            num_tokens=sizes,
            offsets=self.offsets[offset_rows].long().masked_fill(missing[..., None], 0),
            contexts=[self.contexts[question.context] for question in questions],
            questions=[question.text for question in questions],
        )
        if not self.answered:
            return batch
        return batch, Answers(self.spans[index], [question.answers for question in questions])


def _target(question: Question, offsets: Sequence[tuple[int, int]]) -> tuple[int, int]:
    if question.start is None or question.end is None:
        return (UNKNOWN_PLACE, UNKNOWN_PLACE) if question.answers else (-1, -1)
    return token_span(offsets, question.start, question.end) or (UNKNOWN_PLACE, UNKNOWN_PLACE)


class Reading(TokenizedData):
    """Questions whose answers are parts of a text, or that the text does not answer.

    A batch is `(Passages, Answers)`. All windows of a question's context are in its batch. Questions about the same
    context stand in the same split. A training question whose answer is nowhere in its context is left out, and
    counted; in the other splits it stays.

    Your own files are SQuAD's JSON: one file, or a folder with train, val (or dev) and test. Where they are large, they
    are not held in memory, and the windows of a batch are cut when it is wanted; but a JSON document is parsed as a
    whole the first time, which for that moment takes about four times its size.

    Args:
        dataset: a known data set, or the path of a file or folder.
        num_contexts: how many passages `facts` has.
        max_length: tokens in the longest window, its question included, which takes at most half of it.
        stride: tokens by which a window is moved on.
        kwargs: as for TokenizedData and DataModule.
    """

    embedded: ClassVar[tuple[str, ...]] = ("facts",)
    published: ClassVar[Remotes] = QUESTIONS
    provides: ClassVar[tuple[str, ...]] = (*TokenizedData.provides, "unanswerable")
    learned: ClassVar[tuple[str, ...]] = (*TokenizedData.learned, "unanswerable")
    learnable: ClassVar[tuple[str, ...]] = ("wordpiece",)
    shapes_return: ClassVar[bool] = False  # in the number of windows, and in the tokens of the longest
    least_length: ClassVar[int] = 16

    def __init__(
        self,
        dataset: str = "facts",
        num_contexts: int = 1000,
        max_length: int = 384,
        stride: int = 128,
        **kwargs: Any,
    ) -> None:
        super().__init__(dataset=dataset, max_length=max_length, **kwargs)
        at_least("num_contexts", num_contexts, 10)
        at_least("stride", stride, 1)
        if self.tokenizer == "words":
            raise ValueError("--data.tokenizer words: frames no pairs of texts; use wordpiece, or a pretrained model's")
        self.num_contexts = num_contexts
        self.stride = stride
        self.unanswerable = False
        self.book = Book()
        self.files: list[Path] = []
        self.official_contexts: dict[str, Tensor] = {}

    def prepare_data(self) -> None:
        """Download what is missing."""
        if self.is_published:
            self.folder_of(list(FILES[self.dataset].values()), FOLDERS[self.dataset])

    def read(self) -> Source:
        """Read contexts and questions of all splits."""
        if self.is_embedded:
            self.book, places = generated_facts(self.num_contexts, seed=0)
            self.official_contexts = {split: torch.tensor(numbers) for split, numbers in places.items()}
        else:
            self._read_files()
        context = torch.tensor([question.context for question in self.book.questions], dtype=torch.long)
        official = {split: torch.isin(context, part).nonzero()[:, 0] for split, part in self.official_contexts.items()}
        return Source(len(self.book.questions), None, official)

    def _read_files(self) -> None:
        if self.is_published:
            folder = self.folder_of(list(FILES[self.dataset].values()), FOLDERS[self.dataset])
            files = {split: folder / name for split, name in FILES[self.dataset].items()}
        elif self.path.is_dir():
            files = split_files(self.path, [".json"])
        else:
            files = {"": self.path}
        self.files = list(files.values())
        self.book, self.official_contexts = read_books(files, self.encoding)
        if repaired := self.book.repaired:
            self.note(f"{self.dataset}: {repaired} answers stand elsewhere than their answer_start says; put right")
        if lost := self.book.lost:
            self.note(f"{self.dataset}: {lost} answers stand nowhere in their context")

    def split(self, source: Source) -> Splits:
        """Cut by contexts; from training leave out what it cannot learn from."""
        contexts = super().split(Source(len(self.book.contexts), None, self.official_contexts))
        of = torch.tensor([question.context for question in self.book.questions], dtype=torch.long)
        train, val, test = (torch.isin(of, part).nonzero()[:, 0] for part in contexts)
        usable = torch.tensor([question.can_train for question in chosen(self.book.questions, train)], dtype=torch.bool)
        if len(usable) and not usable.all():
            self.note(
                f"{self.dataset}: {int((~usable).sum())} training questions are left out, their answers not found"
            )
        return Splits(train[usable], val, test)

    def check(self, source: Source, splits: Splits) -> None:
        """Refuse, besides, a training split without answers."""
        super().check(source, splits)
        if not any(question.answers for question in chosen(self.book.questions, splits.train)):
            raise DataError(f"{self.dataset}: no question of the training split has an answer")

    def example_hashes(self) -> Iterator[str]:
        """The questions' contexts: whoever knows one from training has an easy question."""
        return (self.book.contexts[question.context] for question in self.book.questions)

    def contents(self) -> dict[str, str]:
        """Of contexts, questions and answers; or of the files where these are large."""
        contexts, questions = self.book.contexts, self.book.questions
        if isinstance(questions, StoredRows):
            return hash_files(self.files)
        owners = np.array([question.context for question in questions])
        answers = (f"{question.start} {question.end} {question.answers}" for question in questions)
        return {
            "contexts": hash_texts(contexts),
            "questions": hash_texts([*(question.text for question in questions), hash_numbers(owners)]),
            "answers": hash_texts(answers),
        }

    def fit(self, train: Tensor) -> None:
        """Learn the tokenizer, and whether there are questions without an answer."""

        def questions() -> Iterator[Question]:
            return chosen(self.book.questions, train)

        self.unanswerable = any(not question.answers for question in questions())
        used = torch.tensor([question.context for question in questions()]).unique()
        asked = Repeatable(lambda: (question.text for question in questions()))
        self.train_tokenizer(Repeatable(lambda: chain(chosen(self.book.contexts, used), asked)))
        Frame(self.built_tokenizer)

    def _examples(self, book: Book, index: Tensor, answered: bool) -> ReadingExamples | MadeAsNeeded:
        make = partial(
            ReadingExamples,
            book,
            tokenizer=self.built_tokenizer,
            max_length=self.max_length,
            stride=self.stride,
            answered=answered,
        )
        return examples_of(book.questions, make, index, [self.tokenizer_json, f"{self.max_length} {self.stride}"])

    def examples(self, index: Tensor) -> ReadingExamples | MadeAsNeeded:
        """Questions with their answers."""
        return self._examples(self.book, index, answered=True)

    def export_inputs(self, model: nn.Module) -> ExportableModule:
        """A trained model that reads questions and contexts."""
        return ExportablePassages(model, self)

    def read_input(self, path: Path) -> tuple[ReadingExamples | MadeAsNeeded, list[str]]:
        """The questions of a file in SQuAD's JSON, which needs no answers."""
        if path.is_dir():
            raise DataError(f"{path}: expected a file in SQuAD's JSON, found a folder")
        book, _ = read_books({"": path}, self.encoding, answered=False)
        names = [question.name or str(number + 1) for number, question in enumerate(book.questions)]
        return self._examples(book, torch.arange(len(book.questions)), answered=False), names
