"""What was made of a user's files is read by later runs, which tell what the first has told."""

import gc
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.base import DataModule
from datamodules.chat import Chat
from datamodules.files.conversations import Message
from datamodules.loading.examples import Source
from datamodules.preferences import Preferences
from datamodules.reading import Reading
from datamodules.storage.stored_rows import StoredRows
from datamodules.storage.uncollected import uncollected
from datamodules.tagging import Tagging
from datamodules.translation import Translation

ASKED = {"role": "user", "content": "How much is it? {{price}}"}
PAIRS = "".join(f"No. {row} is here\t第{row}号在这里\n" for row in range(60)) + "one side\t\n"
TAGS = "# a comment\n" + "\n".join(f"Anna B-person\nis O\nin O\nUlm{row} B-place\n" for row in range(60))
TALK = [{"messages": [ASKED, {"role": "assistant", "content": f"{row} 元"}]} for row in range(60)]
CHOICES = [{"prompt": f"{row}?", "chosen": f"yes {row}", "rejected": "no" if row else "yes 0"} for row in range(60)]
QUESTION = {"question": "Where?", "answers": ["Ulm"]}
ASKS = [QUESTION | {"context": f"{row} Ann is in {'Ulm' if row != 9 else 'Bonn'}"} for row in range(60)]
SHORT = {"window": 64, "vocab_size": 400}

KINDS: dict[str, tuple[type[DataModule], str, str, dict[str, Any]]] = {
    "translation": (Translation, "pairs.tsv", PAIRS, {}),
    "tagging": (Tagging, "words.conll", TAGS, {}),
    "chat": (Chat, "talk.jsonl", "".join(map("{}\n".format, map(json.dumps, [*TALK, {"messages": [ASKED]}]))), SHORT),
    "questions": (Reading, "book.jsonl", "".join(map("{}\n".format, map(json.dumps, ASKS))), {}),
    "preferences": (Preferences, "pairs.jsonl", "".join(map("{}\n".format, map(json.dumps, CHOICES))), SHORT),
}


def flat(part: Any) -> list[Any]:
    return [leaf for each in part for leaf in flat(each)] if isinstance(part, list | tuple) else [part]


def described(data: DataModule) -> list[Any]:
    """All that a run reads and tells of its data; tensors as lists."""
    batches = []
    for split in ("train", "val", "test"):
        examples = data.split_examples(split)
        batches += flat([examples[index] for index in torch.arange(len(examples)).split(7)])
    values = [each.tolist() if isinstance(each, torch.Tensor) else each for each in batches]
    return [values, data.notes, data.summary().text(complete=True), data.state_dict(), data.fingerprint]


@pytest.fixture
def ready(place: Path, monkeypatch: pytest.MonkeyPatch, streamed: Callable[[], None]) -> Callable[..., DataModule]:
    """A datamodule on files that count as many, and as too large for memory if that is asked for."""
    monkeypatch.setattr("datamodules.storage.kept.MIN_BYTES", 0)
    monkeypatch.setattr("datamodules.base.MIN_BYTES", 0)

    def set_up(kind: str, large: bool = False, content: str | None = None) -> DataModule:
        type_, name, text, options = KINDS[kind]
        if content is not None or not (place / name).exists():
            (place / name).write_text(content or text, encoding="utf-8")
        if large:
            streamed()
        data = type_(str(place / name), batch_size=4, **options)
        data.setup()
        return data

    return set_up


@pytest.mark.parametrize("large", [False, True], ids=["in memory", "beyond memory"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_later_run_reads_and_tokenizes_nothing_and_tells_the_same(
    kind: str, large: bool, ready: Callable[..., DataModule], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = described(ready(kind, large))
    assert any("left out" in note or "comment" in note or "placeholders" in note for note in first[1])

    def again(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("done again")

    for made in (
        "datamodules.storage.rows_of_files.as_json",
        "datamodules.storage.stored_rows.as_json",
        "datamodules.storage.token_cache.tokenized",
        *([] if large else ["datamodules.tokenizing.word_encoder.Encoder.pieces", "datamodules.reading.windows"]),
    ):
        monkeypatch.setattr(made, again)
    for templated in (Chat, Preferences):
        monkeypatch.setattr(templated, "examples_of", again)
    assert described(ready(kind, large)) == first


@pytest.mark.parametrize("kind", sorted({*KINDS} - {"questions"}))
def test_rows_are_equal_in_memory_and_beyond_it(kind: str, ready: Callable[..., DataModule]) -> None:
    in_memory, beyond = ready(kind), ready(kind, large=True)
    name = {"translation": "pairs", "tagging": "sentences", "chat": "conversations", "preferences": "pairs"}[kind]
    assert isinstance(getattr(beyond, name), StoredRows)
    assert [*getattr(beyond, name)] == getattr(in_memory, name)
    assert beyond.notes == in_memory.notes


@pytest.mark.parametrize("large", [False, True], ids=["in memory", "beyond memory"])
def test_what_other_code_has_read_is_read_again(
    large: bool, ready: Callable[..., DataModule], monkeypatch: pytest.MonkeyPatch
) -> None:
    ready("translation", large)
    monkeypatch.setattr("datamodules.storage.rows_of_files.code_of_readers", lambda: "of another version")
    monkeypatch.setattr("datamodules.translation.read_pairs", lambda *args: ((f"{row}", "一") for row in range(18)))
    again = ready("translation", large)
    assert isinstance(again, Translation)
    assert len(again.pairs) == 18


class Lower(Translation):
    """Pairs in lower case."""

    def read(self) -> Source:
        source = super().read()
        self.pairs = [(one.lower(), other) for one, other in self.pairs]
        return source


class Louder(Chat):
    """Conversations as they are not."""

    def filled(self, messages: Sequence[Message]) -> list[Message]:
        return [message | {"content": message["content"].upper()} for message in messages]


def test_a_derived_class_takes_nothing_for_its_own_that_its_base_has_kept(
    ready: Callable[..., DataModule], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind, derived in (("translation", Lower), ("chat", Louder)):
        for in_a_notebook in (False, True):
            ready(kind)
            _, name, _, options = KINDS[kind]
            data: Any = derived(str(place / name), batch_size=4, **options)
            with monkeypatch.context() as patch:
                if in_a_notebook:
                    patch.delattr(sys.modules[__name__], "__file__")
                assert bool(data.code) is not in_a_notebook
                data.setup()
            if kind == "chat":
                assert data.conversations[0].messages[0]["content"] == ASKED["content"].upper()
                assert ASKED["content"].upper() in data.inputs_shown(torch.arange(1))[0]
            else:
                assert data.pairs[0][0] == "no. 0 is here"
                assert "▁No" not in data.source_tokenizer


@pytest.mark.parametrize("large", [False, True], ids=["in memory", "beyond memory"])
def test_a_file_that_is_written_again_is_read_again(large: bool, ready: Callable[..., DataModule]) -> None:
    ready("translation", large)
    again = ready("translation", large, PAIRS.replace("here", "gone"))
    assert isinstance(again, Translation)
    assert again.pairs[0] == ("No. 0 is gone", "第0号在这里")


def test_cycles_are_looked_for_again_whatever_has_happened() -> None:
    @uncollected()
    def fails() -> None:
        with uncollected():
            pass
        assert not gc.isenabled()
        raise ValueError("here")

    with pytest.raises(ValueError, match="here"):
        fails()
    assert gc.isenabled()
