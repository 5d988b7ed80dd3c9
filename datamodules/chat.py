"""Instruction tuning: conversations as rows of tokens, of which the answers are to be learned."""

import json
import re
from abc import abstractmethod
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from datamodules.baselines.baseline import Baseline
from datamodules.baselines.byte_ngram import ByteNGram
from datamodules.checking.facts import sizes_fact
from datamodules.errors import DataError
from datamodules.files.conversations import (
    Conversation,
    Message,
    conversation_of,
    form_of,
    is_answer,
    read_conversations,
    without_answer,
)
from datamodules.files.encoding import decoded, json_value
from datamodules.files.paths import regular, user_path
from datamodules.files.records import SUFFIXES, record_files
from datamodules.files.splits import Note
from datamodules.files.text_files import stripped_lines
from datamodules.language import LanguageData
from datamodules.loading.examples import Source
from datamodules.loading.groups import groups_of, split_together
from datamodules.loading.parallel import in_parallel
from datamodules.loading.sampling import Splits, chosen
from datamodules.storage.fingerprint import hash_files, hash_numbers, hash_texts
from datamodules.storage.kept import Kept, code_of
from datamodules.storage.progress import Progress
from datamodules.storage.rows_of_files import read_rows
from datamodules.storage.stored_rows import Rows, StoredRows
from datamodules.storage.streaming import Repeatable
from datamodules.storage.token_cache import kept_ragged, stored
from datamodules.synthetic.conversations import generated_conversations
from datamodules.tokenized import TextExamples, check_minimum
from datamodules.tokenizing import chat_template, packing
from datamodules.tokenizing.chat_template import BEGIN, CHATML, ChatTemplate, Example
from datamodules.tokenizing.language import bytes_of_tokens
from datamodules.tokenizing.packing import Answered, PackedRows, rows_of
from datamodules.tokenizing.row_bytes import ByteTable
from datamodules.tokenizing.tokens import Ragged, tokenizer_from_json

PLACEHOLDER = re.compile(r"\{\{ *(\w+) *\}\}")
BYTES_OF_TOKEN = 4.0  # about
WRITING = code_of(chat_template, packing)
TOGETHER, FEW = 50, 1000  # rows that a process tokenizes together, and those before processes are started
MANY = 0.05  # of the conversations, in which placeholders are meant to be filled in


class TemplatedData(LanguageData):
    """Data whose rows a chat template writes; prompts to predict with are written by the same.

    The template is the pretrained model's own, or ChatML. Examples are all of the same day where a template tells the
    date.

    Args:
        dataset: a known data set, or the path of a file or folder.
        template: file of another template in jinja2, or `chatml`.
        fill: what placeholders in the texts stand for: `{"name": "Ada"}` replaces `{{name}}`.
        kwargs: as for LanguageData and DataModule.
    """

    of_own: ClassVar[tuple[str, ...]] = ("encoding", "fill")
    hashed: ClassVar[str] = "conversations"
    typed: ClassVar[tuple[str, str]] = ".txt", ".jsonl"

    def __init__(
        self, dataset: str, template: str | None = None, fill: dict[str, str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(dataset=dataset, **kwargs)
        self.template = template
        self.fill = fill or {}
        self.files: dict[str, list[Path]] = {}
        self._chat: ChatTemplate | None = None

    @property
    def chat(self) -> ChatTemplate:
        """The chat template with the tokenizer."""
        if self._chat is None or self._chat.template != self.chat_template:
            self._chat = ChatTemplate(self.chat_template, self.tokenizer_json, self.begin, self.end)
        return self._chat

    def find_template(self) -> None:
        """Take the template that is asked for, the vocabulary's own, or ChatML; it begins as a text does.

        A model's own template is left as it is, unless its tokenizer puts a token before each text.

        Raises:
            DataError: it is no template, its tokens are not the tokenizer's, or its answers cannot be told apart.
        """
        theirs = self.chat_template if self.template is None else ""
        if theirs or self.template in (None, "chatml"):
            text = theirs or CHATML
        else:
            file = regular(user_path(str(self.template), "--data.template"))
            text = decoded(file.read_bytes(), "utf-8", file)
        try:
            template = ChatTemplate(text, self.tokenizer_json, self.begin, self.end)
            begins = self.begin in tokenizer_from_json(self.tokenizer_json).encode("a").ids if theirs else True
            if begins and not template.begins():
                text = BEGIN + text
                template = ChatTemplate(text, self.tokenizer_json, self.begin, self.end)
            assert template.stop_ids
        except DataError as error:
            which = f"--data.template {self.template}" if self.template else self.tokenizer if theirs else "ChatML"
            raise DataError(f"{which}: {error}; --data.template gives another template") from None
        self.chat_template, self._chat = text, template

    @abstractmethod
    def example_hashes(self) -> Iterator[str]:
        """What each example says."""

    def split(self, source: Source) -> Splits:
        """Split so that none is in two splits, if the same is there several times."""
        if source.official:
            return super().split(source)
        groups = self.kept_part("groups", lambda: Kept({"groups": groups_of(self.example_hashes())})).arrays["groups"]
        return split_together(groups, super().split)

    def filled(self, messages: Sequence[Message]) -> list[Message]:
        """Messages with values for their placeholders."""
        return [message | {"content": self._filled(message["content"])} for message in messages]

    def _filled(self, text: str) -> str:
        return PLACEHOLDER.sub(lambda found: self.fill.get(found[1], found[0]), text) if self.fill else text

    def tell_placeholders(self, texts: Iterable[str], size: int) -> None:
        """Report placeholders that nothing is given for, where many of the texts have some."""

        def count() -> dict[str, int]:
            return Counter(name for text in texts for name in dict.fromkeys(PLACEHOLDER.findall(text)))

        many = [name for name, found in self.kept_fact("placeholders", count).items() if found > MANY * size]
        if many:
            example = json.dumps(self.fill | dict.fromkeys(many, "…"), ensure_ascii=False)
            self.note(
                f"{self.dataset}: has placeholders, {', '.join(f'{{{{{name}}}}}' for name in many)}; "
                f"--data.fill '{example}' fills them in"
            )

    @abstractmethod
    def examples_of(self, row: Any) -> list[Example]:
        """What a model learns from a row.

        Raises:
            DataError: the template refuses it.
        """

    def tokens_of(self, rows: Rows[Any], unit: str) -> Answered:
        """The tokens of all rows' examples; they are in a file if the rows are, and else kept for later runs.

        Args:
            rows: conversations, or pairs of them.
            unit: what they are.
        """

        def written(part: range) -> list["array[int]"]:
            return [*Answered.stored((index, each) for index in part for each in self.examples_of(rows[index]))]

        def all_written() -> Iterator["array[int]"]:
            assert self.chat  # made here, once for all processes
            progress = Progress("tokenizing", len(rows), unit=unit)
            try:
                for part in in_parallel(written, len(rows), TOGETHER, FEW):
                    yield from part
                    progress.add(TOGETHER)
            finally:  # where one is refused, too
                progress.end()

        values, settings = all_written(), [*map(str, self.vocabulary), WRITING]
        if isinstance(rows, StoredRows):
            return Answered(stored(values, [*rows.key, *settings]))
        return Answered(kept_ragged(lambda: Ragged(values), [*self.data_key, *settings], self.data_size))

    def typed_example(self, text: str) -> str:
        """What is typed, as JSON that keeps its lines; it may be a conversation in JSON itself."""
        with suppress(json.JSONDecodeError, DataError):
            value = json_value(text)
            if isinstance(value, dict | list):
                typed = conversation_of(value, form_of(value, "", answered=False), "")
                return json.dumps({"messages": typed.messages, "tools": typed.tools}, ensure_ascii=False)
        return json.dumps({"messages": [{"role": "user", "content": text}]}, ensure_ascii=False)

    def read_input(self, path: Path) -> tuple[TextExamples, list[str]]:
        """Prompts: each line of a text, or conversations in JSON or Parquet; an answer that is last is left out.

        Raises:
            DataError: a conversation asks nothing, or is longer than the window.
        """
        if path.is_dir():
            raise DataError(f"--input {path}: expected a file of prompts, found a folder")
        prompts, names = [], []
        answered = 0
        for conversation in self._asked(path):
            messages = without_answer(conversation.messages)
            answered += len(messages) < len(conversation.messages)
            if not messages:
                raise DataError(f"{conversation.origin}: nothing is asked; expected a message that is to be answered")
            try:
                prompts.append(self.chat.render(self.filled(messages), True, conversation.tools))
            except DataError as error:
                raise DataError(f"{conversation.origin}: {error}") from None
            if len(prompts[-1]) > self.window:
                raise DataError(
                    f"{conversation.origin}: a prompt of {len(prompts[-1])} tokens, longer than the model reads "
                    f"(--data.window {self.window})"
                )
            names.append(messages[-1]["content"])
        if answered:
            self.note(f"{path}: the last answers of {answered} conversations are left out; the model gives its own")
        return TextExamples(Ragged(prompts), self.end), names

    def _asked(self, path: Path) -> Iterator[Conversation]:
        if path.name.lower().endswith(SUFFIXES):
            yield from read_conversations(path, self.encoding, self.note, answered=False)
        else:
            for line, text in stripped_lines(path, self.encoding):
                yield Conversation([{"role": "user", "content": text}], [], f"{path}:{line}")


class Chat(TemplatedData):
    """Conversations. A model learns the assistant's answers, and the token that ends each.

    A batch is `Packed`: rows of whole conversations end to end, each of which is read by itself. The conversations of a
    split are packed once, by best fit; one that is longer than the window is left out, and counted.

    Your own files are JSON, JSON lines or Parquet: one file, or a folder with train, val (or dev) and test. Each row is
    a conversation: `messages` or `conversations` (role and content, or ShareGPT's from and value); `instruction`,
    `input` and `output`; `prompt` and `completion`; or `question` and `answer`; with `system`, `tools` and `history`
    where they are given. If they are large, neither texts nor tokens are kept in memory.

    Args:
        dataset: a known data set, or the path of a file or folder.
        num_conversations: number of conversations in `conversations`.
        packing: whether a row has several conversations; otherwise each is a row, padded to the longest of its batch,
            as other programs do: with the same loss, and half as fast.
        kwargs: as for TemplatedData, LanguageData and DataModule.
    """

    embedded: ClassVar[tuple[str, ...]] = ("conversations",)
    of_embedded: ClassVar[tuple[str, ...]] = ("num_conversations",)

    def __init__(
        self, dataset: str = "conversations", num_conversations: int = 4500, packing: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(dataset=dataset, **kwargs)
        check_minimum("num_conversations", num_conversations, 20)
        self.num_conversations = num_conversations
        self.packing = packing
        self.conversations: Rows[Conversation] = []
        self.tokens: Answered
        self.rows: Ragged  # the examples of each

    def read(self) -> Source:
        """Read the conversations of all splits."""
        if self.is_embedded:
            self.conversations, official = generated_conversations(self.num_conversations, seed=0)
            return Source(len(self.conversations), official=official)

        def read(*paths: Path, note: Note) -> Iterator[Conversation]:
            for path in paths:
                for each in read_conversations(path, self.encoding, note):
                    yield Conversation(self.filled(each.messages), each.tools, each.origin)

        self.files = record_files(self.path, self.note)
        options = ["conversations", self.encoding, self.fill]
        found = read_rows(self.files, read, options, lambda row: Conversation(*row), self.code, self.note, times=2)
        self.conversations, official, self._read_from, self._read_bytes = found
        texts = ("\n".join(message["content"] for message in each.messages) for each in self.conversations)
        self.tell_placeholders(texts, len(self.conversations))
        return Source(len(self.conversations), official=official)

    def example_hashes(self) -> Iterator[str]:
        """What the conversations say."""
        return (each.identity() for each in self.conversations)

    def contents(self) -> dict[str, str]:
        """Hashes of the conversations, or of their files if these are large, and of how they are packed."""
        rows = {"rows": hash_numbers(self.rows.values, self.rows.lengths)}
        if isinstance(self.conversations, StoredRows):
            return hash_files([file for files in self.files.values() for file in files]) | rows
        return {"conversations": self.kept_fact("digest", lambda: hash_texts(self.example_hashes()))} | rows

    def fit(self, train: Tensor) -> None:
        """Find the tokenizer and the chat template."""

        def texts() -> Iterator[str]:
            for conversation in chosen(self.conversations, train):
                yield from (message["content"] for message in conversation.messages)

        self.find_vocabulary(Repeatable(texts, self.learning_key(train)))
        self.find_template()

    def arranged(self, splits: Splits) -> Splits:
        """The rows of each split, into which its conversations are packed."""
        self.tokens = self.tokens_of(self.conversations, "conversations")
        owners, fits = self.tokens.conversations, self.tokens.sizes <= self.window
        self._tell_lengths(owners, fits)
        rows: list[list[int]] = []
        found = []
        for name, conversations in splits._asdict().items():
            examples = (torch.isin(owners, conversations) & fits).nonzero()[:, 0]
            if len(conversations) and not len(examples):
                raise DataError(
                    f"{self.dataset}: all {len(conversations)} conversations of the {name} split are longer than "
                    f"--data.window {self.window}; the longest of all needs {int(self.tokens.sizes.max())}"
                )
            packed = rows_of(self.tokens, examples, self.window, self.packing)
            found.append(torch.arange(len(rows), len(rows) + len(packed)))
            rows += packed
        self.rows = Ragged(rows)
        return Splits(*found)

    def examples_of(self, row: Conversation) -> list[Example]:
        """One example, or one for each answer; none where nobody answers."""
        try:
            return [*self.chat.examples(row.messages, row.tools)]
        except DataError as error:
            raise DataError(f"{row.origin}: {error}") from None

    def _tell_lengths(self, owners: Tensor, fits: Tensor) -> None:
        """Report conversations that are several examples, and those that are too long."""
        if len(owners) > len(owners.unique()):
            self.note(
                f"{self.dataset}: the chat template writes an answer otherwise once a conversation goes on, so that "
                f"each answer is an example of its own: {len(owners):,} of {len(owners.unique()):,} conversations"
            )
        if not fits.all():
            self.note(
                f"{self.dataset}: left out {int((~fits).sum()):,} of {len(fits):,} examples, which are longer "
                f"than --data.window {self.window}; the longest needs {int(self.tokens.sizes.max()):,}"
            )

    def examples(self, index: Tensor) -> PackedRows:
        """Rows of conversations."""
        return PackedRows(self.tokens, self.rows, index, self.end, alone=not self.packing)

    def baselines(self) -> dict[str, Baseline]:
        """An n-gram model of bytes."""
        table = ByteTable(bytes_of_tokens(self.built_tokenizer), self.begin, self.end)
        return {"ngram": ByteNGram(table, BYTES_OF_TOKEN * self.window)}

    def facts(self) -> list[tuple[str, str]]:
        """The conversations, their length in tokens, and how full the rows are."""
        messages = torch.tensor([len(each.messages) for each in self.conversations])
        members = self.rows.values.long()
        sizes = self.tokens.sizes[members]
        filled = int(sizes.sum()) / (len(self.rows) * self.window)
        packed = f"{len(self.rows):,} of {self.window} tokens, {filled:.0%} of them filled"
        return [
            ("conversations", f"{len(messages):,} of {sizes_fact(messages, 'messages')}"),
            ("tokens", f"examples of {sizes_fact(self.tokens.lengths, 'tokens')}"),
            ("rows", packed if self.packing else f"{len(self.rows):,}, one for each conversation"),
        ]

    def _conversation(self, row: int) -> Conversation:
        """The first conversation in a row."""
        return self.conversations[int(self.tokens.conversations[self.rows.values[self.rows.start[row]]])]

    def shown(self, row: int) -> tuple[str, str]:
        """The first question in a row, and its answer."""
        messages = self._conversation(row).messages
        answer = next(place for place, message in enumerate(messages) if is_answer(message))
        asked = messages[answer - 1]["content"] if answer else ""
        return asked, messages[answer]["content"] or json.dumps(messages[answer]["tool_calls"], ensure_ascii=False)

    def origin(self, row: int) -> str:
        """The file and line of the first conversation in a row."""
        return self._conversation(row).origin or super().origin(row)

    def inputs_shown(self, rows: Tensor) -> list[str]:
        """The texts of rows, with their special tokens."""
        members = (self.rows.joined(torch.tensor([row])).tolist() for row in rows.tolist())
        tokens = ([token for example in each for token in self.tokens.of(example)[0].tolist()] for each in members)
        return [self.built_tokenizer.decode(each, skip_special_tokens=False) for each in tokens]
