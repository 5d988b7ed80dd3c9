import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.preferences import Pairs, Preferences
from datamodules.tokenizing.coloured import coloured
from datamodules.tokenizing.language import END_OF_TURN
from tests.datamodules.conftest import Refused
from tests.helpers.chat_templates import QWEN_3, tokenizer_for_templates


def some(place: Path, count: int = 40, **more: Any) -> Path:
    rows = [
        {"prompt": f"What is {i}?", "chosen": f"{i} 好", "rejected": f"I think that it is {i}."} | more
        for i in range(count)
    ]
    return written(place, rows)


def written(place: Path, rows: list[Any]) -> Path:
    path = place / "pairs.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def ready(path: Path | str, **options: Any) -> Preferences:
    data = Preferences(str(path), **{"batch_size": 4, "window": 128, "vocab_size": 400, **options})
    data.setup()
    return data


def batches(data: Preferences, split: str) -> list[Pairs]:
    """All batches of a split, without an order."""
    examples = data.split_examples(split)
    return [examples[index] for index in torch.arange(len(examples)).split(3)]


def texts(data: Preferences, batch: Pairs) -> list[tuple[list[str], list[str]]]:
    """What counts, and what does not, in both conversations of each pair."""
    found = []
    for row in range(len(batch.index)):
        sides = [coloured(side, row, data.built_tokenizer)[0] for side in (batch.chosen, batch.rejected)]
        found.append(
            ([piece.text for side in sides for piece in side if piece.counts], [side[0].text for side in sides])
        )
    return found


def test_the_answers_of_both_conversations_count(place: Path) -> None:
    data = ready(some(place))
    for batch in data.train_dataloader():
        assert isinstance(batch, Pairs)
        for (chosen, rejected), (asked, again) in texts(data, batch):
            number = chosen.split()[0]
            assert chosen == f"{number} 好{END_OF_TURN}"
            assert rejected == f"I think that it is {number}.{END_OF_TURN}"
            assert asked == again
            assert f"What is {number}?" in asked
        assert batch.chosen.documents is None
        assert batch.chosen.num_bytes.tolist() != batch.rejected.num_bytes.tolist()
        assert batch.chosen.ids.shape == batch.chosen.targets.shape


def test_a_pair_is_known_by_its_index_in_every_epoch(place: Path) -> None:
    data = ready(some(place))
    seen: dict[int, str] = {}
    for _ in range(2):
        for batch in data.train_dataloader():
            for row, (counted, _) in zip(batch.index.tolist(), texts(data, batch), strict=True):
                assert seen.setdefault(row, counted[0]) == counted[0]
    assert sorted(seen) == data.splits.train.tolist()
    others = {row for split in ("val", "test") for batch in batches(data, split) for row in batch.index.tolist()}
    assert not others & {*seen}
    assert {*seen} | others == {*range(40)}
    in_order = data.split_examples("train")[torch.arange(len(data.splits.train))]
    assert [counted[0] for counted, _ in texts(data, in_order)] == [seen[row] for row in sorted(seen)]


def test_only_what_differs_of_a_conversation_counts(place: Path) -> None:
    rows = []
    for number in range(40):
        shared = [("user", f"Hi {number}"), ("assistant", "Hello"), ("user", "1?")]
        sides = {side: [*shared, ("assistant", side)] for side in ("chosen", "rejected")}
        rows.append({side: [{"from": who, "value": text} for who, text in said] for side, said in sides.items()})
    data = ready(written(place, rows))
    batch = data.split_examples("train")[torch.arange(1)]
    assert texts(data, batch)[0][0] == [f"chosen{END_OF_TURN}", f"rejected{END_OF_TURN}"]


def test_pairs_that_are_too_long_are_counted(place: Path, refused: Refused) -> None:
    path = some(place)
    rows = path.read_text().splitlines()
    path.write_text("\n".join([*rows[:-1], json.dumps({"prompt": "a", "chosen": "b", "rejected": "word " * 300})]))
    data = ready(path)
    assert "left out 1 of 40 pairs, which are longer than --data.window 128; the longest needs" in data.notes[-1]
    assert sum(map(len, data.splits)) == 39
    with refused("all 28 pairs of the train split are longer than --data.window 8"):
        ready(some(place), window=8)


def test_a_template_that_rewrites_answers_takes_one_answer_a_side(place: Path, refused: Refused) -> None:
    (place / "tokenizer.json").write_text(tokenizer_for_templates().to_str(), encoding="utf-8")
    config = {"eos_token": END_OF_TURN, "chat_template": QWEN_3}
    (place / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    data = ready(some(place), tokenizer=str(place))
    assert texts(data, next(iter(data.val_dataloader())))[0][0][0].startswith("<think>\n\n</think>\n\n")
    several = [{"role": role, "content": "x"} for role in ("assistant", "user", "assistant")]
    with refused("pairs.jsonl:1: the chat template writes the answers before the last otherwise"):
        ready(some(place, chosen=several), tokenizer=str(place))


def test_what_a_pair_is_is_told_and_kept(place: Path, streamed: Callable[[], None]) -> None:
    data = ready(some(place))
    first = int(data.splits.train[0])
    asked, answers = data.shown(first)
    assert answers == f"{first} 好 (not: I think that it is {first}.)"
    assert data.origin(first).endswith(f"pairs.jsonl:{first + 1}")
    assert asked in data.inputs_shown(torch.tensor([first]))[0]
    assert dict(data.facts())["pairs"] == "40"
    assert "pairs" in data.contents()
    streamed()
    large = ready(some(place))
    assert "contents of files" in large.contents()
    for one, other in zip(data.test_dataloader(), large.test_dataloader(), strict=True):
        assert torch.equal(one.chosen.ids, other.chosen.ids)
        assert torch.equal(one.rejected.targets, other.rejected.targets)


def test_the_embedded_pairs_prefer_the_short_answer() -> None:
    data = ready("short_answers", num_pairs=100)
    assert data.checked == "short_answers"
    for batch in data.test_dataloader():
        assert (batch.chosen.num_bytes < batch.rejected.num_bytes).all()
    with pytest.raises(ValueError, match="num_pairs: expected at least 20"):
        Preferences(num_pairs=3)
