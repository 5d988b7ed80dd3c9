import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from datamodules.chat import Chat
from datamodules.language import LanguageData
from datamodules.preferences import Preferences
from datamodules.storage.stored_rows import StoredRows
from datamodules.tokenizing.coloured import coloured
from datamodules.tokenizing.language import END_OF_TEXT, END_OF_TURN
from datamodules.tokenizing.packed import IGNORED, Packed
from datamodules.tokenizing.tokens import Text, token_id
from tests.datamodules.conftest import Refused
from tests.helpers.chat_templates import CLOSING, GEMMA, LLAMA_3, MISTRAL, OPENING, QWEN_3, tokenizer_for_templates


def turns(index: int) -> list[dict[str, str]]:
    """A conversation about a number, of one or two questions."""
    said = [{"role": "user", "content": f"What is {index} + 1?"}, {"role": "assistant", "content": f"{index + 1} 好"}]
    more = [
        {"role": "user", "content": "Sure?"},
        {"role": "assistant", "content": f"Yes, {'very ' * (index % 7)}sure."},
    ]
    return said + more * (index % 3 > 0)


def written(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


def some(place: Path, count: int = 60) -> Path:
    return written(place / "talk.jsonl", [{"messages": turns(index)} for index in range(count)])


def ready(path: Path | str, **options: Any) -> Chat:
    data = Chat(str(path), **{"batch_size": 2, "window": 64, "vocab_size": 400, **options})
    data.setup()
    return data


def batches(data: LanguageData, split: str) -> list[Any]:
    """All batches of a split, without an order."""
    examples = data.split_examples(split)
    return [examples[index] for index in torch.arange(len(examples)).split(3)]


def learned(data: Chat, split: str) -> list[str]:
    """The answers of a split, as the batches have them."""
    texts = [
        piece.text
        for batch in batches(data, split)
        for row in range(len(batch.ids))
        for document in coloured(batch, row, data.built_tokenizer)
        for piece in document
        if piece.counts
    ]
    return sorted(texts)


def model_folder(place: Path, template: str = "", special: str = END_OF_TURN) -> Path:
    folder = place / "model"
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(tokenizer_for_templates().to_str(), encoding="utf-8")
    config = {"bos_token": OPENING, "eos_token": special} | ({"chat_template": template} if template else {})
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.mark.parametrize("packing", [True, False])
def test_every_answer_is_learned_once_with_its_end(place: Path, packing: bool) -> None:
    data = ready(some(place), packing=packing)
    found = sorted(text for split in ("train", "val", "test") for text in learned(data, split))
    answers = [message["content"] for index in range(60) for message in turns(index)[1::2]]
    assert found == sorted(f"{answer}{END_OF_TURN}" for answer in answers)
    num_bytes = sum(int(batch.num_bytes.sum()) for split in ("train", "val", "test") for batch in batches(data, split))
    assert num_bytes == sum(len(answer.encode()) for answer in answers)


def test_rows_are_filled_with_whole_conversations(place: Path) -> None:
    packed, padded = ready(some(place)), ready(some(place), packing=False)
    assert len(packed.splits.train) < len(padded.splits.train) == 42
    for batch in batches(packed, "train"):
        assert isinstance(batch, Packed)
        assert batch.documents is not None
        assert batch.ids.shape[1] <= 64
        for ids, documents, targets in zip(batch.ids, batch.documents, batch.targets, strict=True):
            text = packed.built_tokenizer.decode(ids.tolist(), skip_special_tokens=False)
            assert text.count("What is") == len(documents[targets != IGNORED].unique())
    assert all(batch.documents is None for batch in batches(padded, "train"))
    assert packed.size_of("train") == len(packed.splits.train)


def test_each_conversation_begins_with_exactly_one_token_for_it(place: Path) -> None:
    data = ready(some(place), packing=False)
    begin = token_id(data.built_tokenizer, END_OF_TEXT)
    assert (data.begin, data.end) == (begin, begin)
    for batch in batches(data, "train"):
        first = batch.ids == begin
        for ids, targets in zip(first, batch.targets, strict=True):
            until = int((targets != IGNORED).nonzero()[-1]) + 1  # the padding is the same token
            assert ids[:until].nonzero().flatten().tolist() == [0]


def test_padding_that_is_the_end_of_an_answer_is_not_learned(place: Path) -> None:
    data = ready(some(place), tokenizer=str(model_folder(place)), packing=False)
    assert data.end == data.chat.stop_ids[0] == token_id(data.built_tokenizer, END_OF_TURN)
    ends = answers = 0
    for batch in batches(data, "train"):
        assert int((batch.ids == data.end).sum()) > int((batch.targets == data.end).sum())
        ends += int((batch.targets == data.end).sum())
    answers = len(learned(data, "train"))
    assert ends == answers > 42


def test_conversations_are_split_and_equal_ones_together(place: Path) -> None:
    rows = [{"messages": turns(index % 20)} for index in range(60)]
    data = ready(written(place / "twice.jsonl", rows))
    sides = [{*learned(data, split)} for split in ("train", "val", "test")]
    assert not any("in the training split, too" in note for note in data.notes)
    numbers = [{text.split()[0] for text in side if text[0].isdigit()} for side in sides]
    assert not numbers[0] & numbers[1]
    assert not numbers[0] & numbers[2]
    other = ready(place / "twice.jsonl")
    assert learned(other, "test") == learned(data, "test")
    assert other.fingerprint == data.fingerprint
    assert other.changed_since(data.fingerprint, data.state_dict()) is None
    assert ready(place / "twice.jsonl", window=128).changed_since(data.fingerprint, data.state_dict())


def test_conversations_that_are_too_long_are_counted_and_never_cut(place: Path, refused: Refused) -> None:
    rows: list[Any] = [{"messages": turns(index)} for index in range(60)]
    rows[7]["messages"] = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "word " * 500}]
    data = ready(written(place / "long.jsonl", rows))
    [note] = [note for note in data.notes if "left out" in note]
    assert "left out 1 of 60 examples, which are longer than --data.window 64; the longest needs " in note
    assert not any("word" in text for split in ("train", "val", "test") for text in learned(data, split))
    with refused("all 42 conversations of the train split are longer than --data.window 8; the longest of all needs"):
        ready(some(place), window=8)
    with refused("--data.window: expected at least 8, got 7"):
        Chat("conversations", window=7)


def test_a_checkpoint_has_all_that_prediction_needs(place: Path) -> None:
    data = ready(some(place))
    assert data.chat_template.startswith("{{ bos_token }}{%- if tools %}")
    other = Chat(str(some(place)), window=64)
    other.load_state_dict(data.state_dict())
    path = place / "prompts.txt"
    path.write_text("What is 3 + 1?\n\n你好 <|im_end|>\n", encoding="utf-8")
    other.set_input(path)
    [batch] = [*other.predict_dataloader()]
    assert isinstance(batch, Text)
    texts = [
        other.built_tokenizer.decode(ids[:length].tolist(), skip_special_tokens=False)
        for ids, length in zip(batch.ids, batch.lengths, strict=True)
    ]
    begin, end = "<|endoftext|><|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"
    assert texts == [f"{begin}What is 3 + 1?{end}", f"{begin}你好 <|im_end|>{end}"]
    assert other.predicted_names == ["What is 3 + 1?", "你好 <|im_end|>"]
    assert (batch.ids == token_id(other.built_tokenizer, END_OF_TURN)).sum() == 2


def test_prompts_are_conversations_up_to_an_answer(place: Path, refused: Refused) -> None:
    data = ready(some(place))
    path = written(
        place / "asked.jsonl", [{"messages": turns(1)}, {"messages": turns(1)[:1]}, {"messages": turns(1)[:3]}]
    )
    examples, names = data.read_input(path)
    assert names == ["Sure?", "What is 1 + 1?", "Sure?"]
    assert data.notes[-1].endswith("the last answers of 1 conversations are left out; the model gives its own")
    batch = examples[torch.arange(3)]
    assert batch.ids[0, : batch.lengths[0]].tolist() == batch.ids[2, : batch.lengths[2]].tolist()
    alpaca = written(place / "alpaca.jsonl", [{"instruction": "Hi", "input": ""}])
    assert data.read_input(alpaca)[1] == ["Hi"]
    with refused("asked.jsonl:1: nothing is asked"):
        data.read_input(written(path, [{"messages": turns(1)[1:2]}]))
    with refused("asked.jsonl:1: a prompt of ", "--data.window 64"):
        data.read_input(written(path, [{"prompt": "word " * 300}]))
    with refused("expected a file of prompts, found a folder"):
        data.read_input(place)


def test_prompts_may_be_typed(place: Path) -> None:
    data = ready(some(place))
    typed = ["Two\nlines", '{"messages": [{"role": "user", "content": "Hi"}]}', '{"a": 1}']
    content = "\n".join(map(data.typed_example, typed)).encode()
    data.set_input(data.save_typed(content, place, "--text"))
    assert data.predicted_names == ["Two\nlines", "Hi", '{"a": 1}']
    data.set_input(data.save_typed(b"One\nTwo\n", place, "--text"))
    assert data.predicted_names == ["One", "Two"]


def test_the_models_own_template_is_taken_and_kept(place: Path) -> None:
    data = ready(some(place), tokenizer=str(model_folder(place, GEMMA, "<end_of_turn>")))
    assert data.chat_template == GEMMA
    assert data.begin == token_id(data.built_tokenizer, OPENING)
    assert all(text.endswith("<end_of_turn>") for text in learned(data, "val"))
    assert data.without_effect()["vocab_size"] == "a pretrained tokenizer has its own"


def test_a_model_without_a_template_gets_chatml_and_its_own_begin(place: Path) -> None:
    data = ready(some(place), tokenizer=str(model_folder(place)))
    assert data.chat_template.startswith("{{ bos_token }}")
    text = data.chat.text(turns(1)[:1])
    assert text.startswith(f"{OPENING}<|im_start|>user\n")
    assert text.count(OPENING) == 1


def test_another_template_may_be_given(place: Path, refused: Refused) -> None:
    file = place / "mine.jinja"
    file.write_text(MISTRAL, encoding="utf-8")
    folder = str(model_folder(place, LLAMA_3, CLOSING))
    assert ready(some(place), tokenizer=folder, template=str(file)).chat_template == MISTRAL
    assert "<|im_start|>" in ready(some(place), tokenizer=folder, template="chatml").chat_template
    with refused("expected a file, found No such file"):
        ready(some(place), template=str(place / "none.jinja"))
    file.write_text("{% for %}", encoding="utf-8")
    with refused(f"--data.template {file}: line 1 of the chat template", "--data.template gives another"):
        ready(some(place), template=str(file))
    file.write_text(LLAMA_3, encoding="utf-8")
    with refused(f"--data.template {file}: the chat template writes <|start_header_id|>, which is no token"):
        ready(some(place), template=str(file))


def test_a_tokenizer_without_chatmls_tokens_is_refused(place: Path, refused: Refused) -> None:
    folder = model_folder(place)
    tokenizer = tokenizer_for_templates().to_str().replace("<|im_start|>", "<|x|>").replace("<|im_end|>", "<|y|>")
    (folder / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": CLOSING}), encoding="utf-8")
    with refused("ChatML: the chat template writes <|im_start|>, which is no token of the tokenizer"):
        ready(some(place), tokenizer=str(folder))


@pytest.mark.parametrize("large", [False, True])
def test_several_processes_write_what_one_does(
    place: Path, streamed: Callable[[], None], monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    one = ready(some(place))
    monkeypatch.setattr("datamodules.chat.FEW", 0)
    monkeypatch.setattr("datamodules.chat.TOGETHER", 7)
    if large:
        streamed()
    several = ready(written(place / "again.jsonl", [{"messages": turns(index)} for index in range(60)]))
    for split in ("train", "val", "test"):
        for ours, theirs in zip(batches(one, split), batches(several, split), strict=True):
            assert all(torch.equal(first, second) for first, second in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("few", [0, 1000])
def test_what_the_template_refuses_is_named_by_its_row(
    place: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr("datamodules.chat.FEW", few)
    rows = [{"messages": turns(index)} for index in range(30)]
    rows[4]["messages"] = [{"role": "system", "content": "Be kind."}, *turns(4)]
    folder = str(model_folder(place, GEMMA, "<end_of_turn>"))
    with refused("talk.jsonl:5: the chat template refuses it: System role not supported"):
        ready(written(place / "talk.jsonl", rows), tokenizer=folder)


def test_a_template_that_rewrites_answers_makes_an_example_of_each(place: Path) -> None:
    data = ready(some(place), tokenizer=str(model_folder(place, QWEN_3)), window=128)
    assert any("each answer is an example of its own: 100 of 60 conversations" in note for note in data.notes)
    found = [text for split in ("train", "val", "test") for text in learned(data, split)]
    assert len(found) == 100
    assert all(text.startswith("<think>\n\n</think>\n\n") for text in found)
    owners = data.tokens.conversations[data.rows.joined(data.splits.test).long()]
    others = data.tokens.conversations[data.rows.joined(data.splits.train).long()]
    assert not {*owners.tolist()} & {*others.tolist()}


def test_placeholders_are_filled_in_or_told_of(place: Path) -> None:
    rows = [{"prompt": f"Who are you, {index}?", "completion": "I am {{name}} by {{ author }}."} for index in range(40)]
    path = written(place / "identity.jsonl", rows)
    data = ready(path)
    assert 'has placeholders, {{name}}, {{author}}; --data.fill \'{"name": "…", "author": "…"}\'' in data.notes[-1]
    data = ready(path, fill={"name": "Ada", "author": "Bo"})
    assert {*learned(data, "train")} == {f"I am Ada by Bo.{END_OF_TURN}"}
    assert not any("has placeholders" in note for note in data.notes)


def test_an_earlier_runs_vocabulary_is_taken_over(place: Path) -> None:
    earlier = ready("conversations", num_conversations=100, window=128)
    assert earlier.checked == "conversations"
    state = earlier.state_dict() | {"chat_template": ""}  # as a run on running text has it
    data = Chat(str(some(place)), batch_size=2, window=64, tokenizer="/a/run")
    data.take_tokenizers({"tokenizer_json": "of something else"})
    assert data.taken is None
    data.take_tokenizers(state)
    data.setup()
    assert (data.tokenizer_json, data.begin, data.end) == (earlier.tokenizer_json, earlier.begin, earlier.end)
    assert data.chat_template == earlier.chat_template
    assert {"tokenizer", "vocab_size"} <= {*data.without_effect()}
    assert data.checked == ""
    preferences = Preferences(batch_size=2)
    preferences.take_tokenizers(data.state_dict())
    preferences.setup()
    assert preferences.vocabulary == data.vocabulary


@pytest.mark.parametrize("tokenizer", ["bpe", "characters", "bytes"])
def test_every_tokenizer_can_be_learned(place: Path, tokenizer: str) -> None:
    data = ready(some(place), tokenizer=tokenizer, window=256)
    assert learned(data, "test")[0].endswith(END_OF_TURN)
    assert ("vocab_size" in data.without_effect()) == (tokenizer != "bpe")


def test_splits_of_their_own_are_kept(place: Path) -> None:
    folder = place / "split"
    folder.mkdir()
    for split, numbers in (("train", range(40)), ("validation", range(40, 50)), ("test", range(50, 60))):
        rows = [{"messages": turns(index)} for index in numbers]
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{split}-00000-of-00001.parquet")
    data = ready(folder)
    assert "51 好<|im_end|>" in learned(data, "test")
    assert len(learned(data, "test")) == sum(len(turns(index)) for index in range(50, 60)) // 2
    assert data.without_effect()["split_seed"]
    tested = Chat(str(some(place)), window=64)
    tested.load_state_dict(data.state_dict())
    tested.setup_test()
    assert len(learned(tested, "test")) == 100
    assert tested.size_of("train") == 0


def test_large_files_give_the_same_rows(place: Path, streamed: Callable[[], None]) -> None:
    expected = ready(some(place))
    streamed()
    data = ready(some(place))
    assert isinstance(data.conversations, StoredRows)
    for split in ("train", "val", "test"):
        for one, other in zip(batches(data, split), batches(expected, split), strict=True):
            assert all(torch.equal(first, second) for first, second in zip(one, other, strict=True))
    assert learned(data, "test") == learned(expected, "test")
    assert data.shown(0) == expected.shown(0)


def test_it_says_what_was_understood(place: Path) -> None:
    data = ready(some(place))
    text = data.summary().text(complete=True)
    assert "60 of 2 to 4 messages, median 4" in text
    assert "of 64 tokens" in text
    first = int(data.splits.train[0])
    asked, answer = data.shown(first)
    assert data.origin(first).endswith(f"talk.jsonl:{int(asked.split()[2]) + 1}")
    assert answer == f"{int(asked.split()[2]) + 1} 好"
    [shown] = data.inputs_shown(data.splits.train[:1])
    assert shown.startswith(f"{END_OF_TEXT}<|im_start|>user\n{asked}")
    assert data.suspicions() == []
    assert dict(ready("conversations", window=128).facts())["conversations"].startswith("4,500 of 2 to 7 messages")


def test_options_of_other_data_are_without_effect(place: Path) -> None:
    assert {"encoding", "fill"} <= {*ready("conversations", num_conversations=100, window=128).without_effect()}
    assert "num_conversations" in ready(some(place)).without_effect()
