"""Extractive question answering: tokens of a question and its context side by side, in windows if it is long."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
import tokenizers
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.utils.data import Dataset

from datamodules.checking.facts import sizes_fact, texts_at
from datamodules.checking.neighbours import text_vectors
from datamodules.checking.suspicions import ALIKE_TEXTS, Compared
from datamodules.errors import DataError
from datamodules.export.exportable import Axes, ExportableModule
from datamodules.files.squad import Book, Question, read_books
from datamodules.loading.examples import Source
from datamodules.loading.sampling import Splits, chosen
from datamodules.storage.catalogue import QUESTIONS, Remotes
from datamodules.storage.fingerprint import hash_files, hash_numbers, hash_texts
from datamodules.storage.kept import Kept, states_of
from datamodules.storage.progress import shown_items
from datamodules.storage.rows_of_files import code_of_readers
from datamodules.storage.stored_rows import LazyExamples, StoredRows
from datamodules.storage.streaming import Repeatable
from datamodules.synthetic.facts import generated_facts
from datamodules.tokenized import PublishedFiles, TokenizedData, check_minimum, tokenizer_facts
from datamodules.tokenizing.pieces import Pieces
from datamodules.tokenizing.tokens import Ragged, Text, padded_rows, padding_id

UNKNOWN_PLACE = -100  # the target of a question if the position of its answer is not known


class Passages(NamedTuple):
    """B questions with their contexts, in P windows.

    Args:
        ids: (P, T) a question and a window of its context, with the tokenizer's special tokens.
        lengths: (P,) number of tokens in each window.
        context_start: (P,) position of the context's first token.
        owner: (P,) index of each window's question.
        first: (B, N) position of each token of the context in the flattened ids, in the window that shows most
            of what is around it.
        num_tokens: (B,) number of tokens in each context.
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
        """(P, T), 1 in the context and 0 elsewhere."""
        positions = torch.arange(self.ids.shape[1], device=self.ids.device)
        return ((positions >= self.context_start[:, None]) & self.mask).long()

    @property
    def token_mask(self) -> Tensor:
        """(B, N), true where there is a token of the context."""
        return torch.arange(self.first.shape[1], device=self.first.device) < self.num_tokens[:, None]


class ExportablePassages(ExportableModule):
    """Reads token ids of questions with windows of their contexts, and the position of each token in them."""

    reads = "questions"
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

    def preprocessing(self) -> dict[str, Any]:
        """How a question and its context are cut into windows of tokens."""
        data, template = self.data, PairTemplate(self.data.built_tokenizer)
        special = {"before": template.before, "between": template.between, "after": template.after}
        sizes = {"max_length": data.max_length, "stride": data.stride}
        return tokenizer_facts(data.built_tokenizer) | special | sizes

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
    """The correct answers.

    Args:
        spans: (B, 2) first and last token of the answer; -1 if there is none, -100 if its position is not known.
        texts: all correct answers to each question; none if the context does not contain one.
    """

    spans: Tensor
    texts: list[list[str]]


class PairTemplate:
    """The special tokens that a tokenizer adds to a pair of texts.

    Args:
        tokenizer: tokenizer of the model.

    Raises:
        DataError: it adds none before the pair, so that no token can represent "no answer".
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        pair = tokenizer.encode("a", "a")
        special = pair.special_tokens_mask
        if not special or not special[0]:
            raise DataError("--data.tokenizer: puts no token such as [CLS] before a pair of texts; use wordpiece")
        plain = [position for position, mark in enumerate(special) if not mark]
        between = [position for position in range(plain[0], plain[-1]) if special[position]]
        self.before = pair.ids[: plain[0]]
        self.between = [pair.ids[position] for position in between]
        self.after = pair.ids[plain[-1] + 1 :]
        self.size = len(self.before) + len(self.between) + len(self.after)


def windows(size: int, max_size: int, stride: int) -> list[tuple[int, int]]:
    """Start and end of windows that cover a number of tokens.

    Args:
        size: number of tokens to cover.
        max_size: maximum number of tokens in a window.
        stride: distance between the starts of two windows.
    """
    starts = [0]
    while starts[-1] + max_size < size:
        starts.append(starts[-1] + min(stride, max_size))
    return [(start, min(start + max_size, size)) for start in starts]


def best_windows(spans: Sequence[tuple[int, int]], size: int) -> list[int]:
    """For each token the window in which the nearer of the two edges is farthest, the first of several.

    Args:
        spans: start and end of each window.
        size: number of tokens.
    """
    positions = np.arange(size)
    starts, ends = np.array(spans).T[:, :, None]
    distance = np.minimum(positions - starts, ends - 1 - positions)  # (windows, tokens), below 0 outside
    return distance.argmax(axis=0).tolist()


def token_span(offsets: Sequence[tuple[int, int]], start: int, end: int) -> tuple[int, int] | None:
    """First and last token of the characters from start to end; None if no token contains any of them."""
    inside = [token for token, (first, last) in enumerate(offsets) if first < end and last > start]
    return (inside[0], inside[-1]) if inside else None


class ReadingExamples(Dataset[Any]):
    """Questions, with the windows of their contexts end to end.

    Args:
        book: contexts and questions.
        index: the questions of this split.
        arrays: their windows, see `encoded`.
        padding: the padding token's id.
        answered: whether batches have targets.
    """

    def __init__(
        self, book: Book, index: Tensor, arrays: dict[str, NDArray[Any]], padding: int, answered: bool
    ) -> None:
        self.questions = [book.questions[row] for row in index.tolist()]
        self.contexts = book.contexts
        self.padding = padding
        self.answered = answered
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        self.windows = Pieces(Ragged.of(arrays["tokens"], arrays["lengths"]), tensors["counts"])
        self.lengths = self.windows.lengths
        self.context_start, self.spans, self.num_tokens = (
            tensors[name] for name in ("context_start", "spans", "num_tokens")
        )
        self.first_token = self.num_tokens.cumsum(0) - self.num_tokens
        self.first_offset, self.first, self.offsets = (tensors[name] for name in ("first_offset", "first", "offsets"))

    def __len__(self) -> int:
        return len(self.questions)

    def __getitem__(self, index: Tensor) -> Any:
        text = self.windows.padded(index, self.padding)
        num_tokens = self.num_tokens[index]
        rows, is_padding = padded_rows(self.first_token[index], num_tokens)  # (B, N)
        offset_rows, _ = padded_rows(self.first_offset[index], num_tokens)
        first = self.windows.flat_positions(index, self.first[rows].long(), text.ids.shape[1])
        questions = [self.questions[row] for row in index.tolist()]
        batch = Passages(
            ids=text.ids,
            lengths=text.lengths,
            context_start=self.context_start[self.windows.rows(index)],
            owner=torch.repeat_interleave(torch.arange(len(index)), self.windows.counts[index]),
            first=first.masked_fill(is_padding, 0),
            num_tokens=num_tokens,
            offsets=self.offsets[offset_rows].long().masked_fill(is_padding[..., None], 0),
            contexts=[self.contexts[question.context] for question in questions],
            questions=[question.text for question in questions],
        )
        if not self.answered:
            return batch
        return batch, Answers(self.spans[index], [question.answers for question in questions])


def encoded(book: Book, index: Tensor, tokenizer: Tokenizer, max_length: int, stride: int) -> dict[str, NDArray[Any]]:
    """The windows of questions' contexts, end to end.

    Args:
        book: contexts and questions.
        index: the questions.
        tokenizer: tokenizer of the model.
        max_length: maximum number of tokens in a window with its question.
        stride: distance between the starts of two windows.

    Returns:
        `tokens` and `lengths` of the windows, and `context_start` in each; of each question the `counts` of its
        windows, the `spans` of its answer, and of its context `num_tokens` and the `first_offset`; of each token of
        the contexts the `first` window and position, and its `offsets`. These last two have a row more, from which the
        padding of a batch is read.
    """
    rows = [book.questions[row] for row in index.tolist()]
    template = PairTemplate(tokenizer)
    used = sorted({question.context for question in rows})
    texts = [book.contexts[context] for context in used]
    contexts = dict(zip(used, tokenizer.encode_batch(texts, add_special_tokens=False), strict=True))
    questions = tokenizer.encode_batch([question.text for question in rows], add_special_tokens=False)
    sequences, starts, counts, spans = [], [], [], []
    first = []  # as arrays: lists would take twenty times the file's size
    pairs = zip(rows, questions, strict=True)
    for question, tokens in shown_items(pairs, "tokenizing", len(rows), "questions"):
        context = contexts[question.context]
        head = [*template.before, *tokens.ids[: max_length // 2 - template.size], *template.between]
        cut = windows(len(context.ids), max_length - len(head) - len(template.after), stride)
        sequences += [array("i", head + context.ids[start:end] + template.after) for start, end in cut]
        starts += [len(head)] * len(cut)
        counts.append(len(cut))
        best = np.array(best_windows(cut, len(context.ids)), np.int32)
        start_of = np.array([start for start, _ in cut], np.int32)
        first.append(np.stack([best, len(head) + np.arange(len(best), dtype=np.int32) - start_of[best]], axis=1))
        spans.append(_target(question, context.offsets))
    pieces = Ragged(sequences)
    sizes = np.array([len(contexts[context].ids) for context in used], np.int64)
    before = dict(zip(used, (sizes.cumsum() - sizes).tolist(), strict=True))
    return {
        "tokens": pieces.values.numpy(),
        "lengths": pieces.lengths.numpy(),
        "counts": np.array(counts, np.int64),
        "context_start": np.array(starts, np.int64),
        "spans": np.array(spans, np.int64).reshape(-1, 2),
        "num_tokens": np.array([len(contexts[question.context].ids) for question in rows], np.int64),
        "first_offset": np.array([before[question.context] for question in rows], np.int64),
        "first": np.concatenate([*first, np.zeros((1, 2), np.int32)]),
        "offsets": np.array([*(pair for context in used for pair in contexts[context].offsets), (0, 0)], np.int32),
    }


def _read_again(index: Tensor, make: Callable[[Tensor], dict[str, NDArray[Any]]], **options: Any) -> ReadingExamples:
    return ReadingExamples(index=index, arrays=make(index), **options)


def _target(question: Question, offsets: Sequence[tuple[int, int]]) -> tuple[int, int]:
    if question.start is None or question.end is None:
        return (UNKNOWN_PLACE, UNKNOWN_PLACE) if question.answers else (-1, -1)
    return token_span(offsets, question.start, question.end) or (UNKNOWN_PLACE, UNKNOWN_PLACE)


class Reading(TokenizedData):
    """Questions whose answers are spans of a text, or that the text does not answer.

    A batch is `(Passages, Answers)`. All windows of a question's context are in its batch. Questions about the same
    context are in the same split. A training question whose answer is not found in its context is left out, and
    counted; in the other splits it is kept.

    Your own files are SQuAD's JSON, or JSON with a context beside each question: one file, or a folder with train, val
    (or dev) and test. If they are large, they are not kept in memory, and the windows of a batch are cut when it is
    loaded; but a JSON document is parsed as a whole the first time, which takes about four times its size.

    Args:
        dataset: a known data set, or the path of a file or folder.
        num_contexts: number of passages in `facts`.
        max_length: maximum number of tokens in a window, including its question, which takes at most half of it.
        stride: distance in tokens between the starts of two windows.
        kwargs: as for TokenizedData and DataModule.
    """

    embedded: ClassVar[tuple[str, ...]] = ("facts",)
    published: ClassVar[Remotes] = QUESTIONS
    provides: ClassVar[tuple[str, ...]] = (*TokenizedData.provides, "unanswerable")
    fitted: ClassVar[tuple[str, ...]] = (*TokenizedData.fitted, "unanswerable")
    trainable: ClassVar[tuple[str, ...]] = ("wordpiece",)
    shapes_return: ClassVar[bool] = False  # in the number of windows, and in the tokens of the longest
    typed: ClassVar[tuple[str, str]] = "", ".jsonl"
    typed_form: ClassVar[str] = 'JSON such as {"question": "Who?", "context": "Ada was."}'
    min_length: ClassVar[int] = 16
    suffixes: ClassVar[tuple[str, ...]] = (".json", ".jsonl")
    published_files: ClassVar[dict[str, PublishedFiles]] = {  # SQuAD's test splits are not published
        "SQuAD": PublishedFiles("squad", {"train": "train-v1.1.json", "test": "dev-v1.1.json"}),
        "SQuAD2": PublishedFiles("squad", {"train": "train-v2.0.json", "test": "dev-v2.0.json"}),
        # Answers have 10 tokens on average in the one file, 29 in the other, which marks complete sentences.
        "CMRC2018": PublishedFiles("zh_cmrc2018", {"train": "cmrc2018_dev.json", "test": "cmrc2018_trial.json"}),
        "XQuAD-en": PublishedFiles("xquad", {"": "xquad.en.json"}),
        "XQuAD-zh": PublishedFiles("xquad", {"": "xquad.zh.json"}),
    }

    def __init__(
        self,
        dataset: str = "facts",
        num_contexts: int = 1000,
        max_length: int = 384,
        stride: int = 128,
        **kwargs: Any,
    ) -> None:
        super().__init__(dataset=dataset, max_length=max_length, **kwargs)
        check_minimum("num_contexts", num_contexts, 10)
        check_minimum("stride", stride, 1)
        if self.tokenizer == "words":
            raise ValueError("--data.tokenizer words: joins no pairs of texts; use wordpiece, or a pretrained model's")
        self.num_contexts = num_contexts
        self.stride = stride
        self.unanswerable = False
        self.book = Book()
        self.official_contexts: dict[str, Tensor] = {}

    def read(self) -> Source:
        """Read contexts and questions of all splits."""
        if self.is_embedded:
            self.book, splits = generated_facts(self.num_contexts, seed=0)
            self.official_contexts = {split: torch.tensor(index) for split, index in splits.items()}
        else:
            self._read_files()
        context = torch.tensor([question.context for question in self.book.questions], dtype=torch.long)
        official = {split: torch.isin(context, part).nonzero()[:, 0] for split, part in self.official_contexts.items()}
        return Source(len(self.book.questions), None, official)

    def _read_files(self) -> None:
        self.files = self.find_files()
        self.book, self.official_contexts = read_books(self.files, self.encoding)
        states = states_of(self.files.values(), next(iter(self.files.values())).parent)
        code = [code_of_readers(), *self.code]
        self._read_from = ["questions", states.digest, *self.files.values(), self.encoding, *code]
        self._read_bytes = states.size
        for fault in self.book.faults:
            self.note(f"{self.dataset}: {fault}")

    def split(self, source: Source) -> Splits:
        """Split by contexts; leave out training questions without a known answer."""
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
        """Also refuse a training split without answers."""
        super().check(source, splits)
        if not any(question.answers for question in chosen(self.book.questions, splits.train)):
            raise DataError(f"{self.dataset}: no question of the training split has an answer")

    def example_hashes(self) -> Iterator[str]:
        """The questions' contexts: one that is known from training makes its question easy."""
        return (self.book.contexts[question.context] for question in self.book.questions)

    def facts(self) -> list[tuple[str, str]]:
        """Contexts, questions, and how many of these have no answer."""
        unanswered = sum(not question.answers for question in self.book.questions)
        lengths = torch.tensor([len(context) for context in self.book.contexts])
        return [
            ("contexts", f"{len(lengths):,} of {sizes_fact(lengths, 'characters')}"),
            ("questions", f"{len(self.book.questions):,}, {unanswered:,} of them without an answer"),
        ]

    def shown(self, row: int) -> tuple[str, str]:
        """A question and its answer."""
        question = self.book.questions[row]
        return question.text, question.answers[0] if question.answers else "no answer"

    def origin(self, row: int) -> str:
        """The publisher's identifier of a question, or the number of it."""
        return self.book.questions[row].name or f"question {row + 1}"

    def as_vectors(self, rows: Tensor) -> Compared:
        """The questions' contexts by their words."""
        return Compared(text_vectors(texts_at(self.example_hashes(), rows)), ALIKE_TEXTS)

    def contents(self) -> dict[str, str]:
        """Hashes of contexts, questions and answers; or of the files if these are large."""
        if isinstance(self.book.questions, StoredRows):
            return hash_files([*self.files.values()])
        return cast("dict[str, str]", self.kept_fact("digests", self._digests))

    def _digests(self) -> dict[str, str]:
        contexts, questions = self.book.contexts, self.book.questions
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
        texts = Repeatable(lambda: (question.text for question in questions()))
        key = self.learning_key(train)
        self.train_tokenizer(Repeatable(lambda: chain(chosen(self.book.contexts, used), texts), key))
        PairTemplate(self.built_tokenizer)

    def _examples(self, book: Book, index: Tensor, answered: bool) -> ReadingExamples | LazyExamples:
        tokenizer, settings = self.built_tokenizer, [self.tokenizer_json, f"{self.max_length} {self.stride}"]
        make = partial(encoded, book, tokenizer=tokenizer, max_length=self.max_length, stride=self.stride)
        options: dict[str, Any] = {"book": book, "padding": padding_id(tokenizer), "answered": answered}
        if isinstance(book.questions, StoredRows):
            return LazyExamples(partial(_read_again, make=make, **options), index, [*book.questions.key, *settings])
        if book is self.book:
            key = [hash_numbers(index), *settings, tokenizers.__version__]
            arrays = self.kept_part("examples", lambda: Kept(make(index)), *key).arrays
        else:
            arrays = make(index)
        return ReadingExamples(index=index, arrays=arrays, **options)

    def examples(self, index: Tensor) -> ReadingExamples | LazyExamples:
        """Questions with their answers."""
        return self._examples(self.book, index, answered=True)

    def export_inputs(self, model: nn.Module) -> ExportableModule:
        """A trained model that reads questions and contexts."""
        return ExportablePassages(model, self)

    def read_input(self, path: Path) -> tuple[ReadingExamples | LazyExamples, list[str]]:
        """The questions of a file as for training, which needs no answers."""
        if path.is_dir():
            raise DataError(f"{path}: expected a file of questions in JSON, found a folder")
        book, _ = read_books({"": path}, self.encoding, answered=False)
        names = [question.name or str(row + 1) for row, question in enumerate(book.questions)]
        return self._examples(book, torch.arange(len(book.questions)), answered=False), names
