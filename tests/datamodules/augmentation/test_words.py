from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models
from torch import Tensor

from datamodules.augmentation.words import WordDropout
from datamodules.base import DataModule
from datamodules.reading import Reading
from datamodules.tagging import Tagging
from datamodules.text import TextClassification
from datamodules.tokenizing.tokens import Text, new_tokenizer
from datamodules.translation import Translation

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[BOS]", "[EOS]"]


def batch_of(data: DataModule, training: bool = True) -> tuple[Any, Any]:
    """A batch as it was, and as it is in training or not."""
    data.setup()
    batch = data.examples(data.splits.train)[torch.arange(40)]
    data.trainer = SimpleNamespace(training=training)  # type: ignore[assignment]
    torch.manual_seed(0)
    return batch, data.on_after_batch_transfer(batch, 0)


def assert_dropped(tokenizer: Tokenizer, before: Any, after: Any, instead: str, chance: float) -> None:
    special = torch.tensor([tokenizer.token_to_id(token) for token in SPECIAL if tokenizer.token_to_id(token)])
    special = torch.cat([special, torch.tensor([tokenizer.token_to_id("[PAD]")])])
    may_go = before.mask & ~torch.isin(before.ids, special)
    assert torch.equal(after.ids[~may_go], before.ids[~may_go])
    changed = before.ids != after.ids
    assert (after.ids[changed] == tokenizer.token_to_id(instead)).all()
    assert float(changed[may_go].float().mean()) == pytest.approx(chance, abs=0.06)


@pytest.mark.parametrize("tokenizer", ["words", "wordpiece"])
def test_words_of_english_and_chinese_texts_are_dropped_and_nothing_else(tokenizer: str, place: Path) -> None:
    said = "这家酒店的房间很好 the room is good"
    rows = "".join(f"{said} {number % 7},{'好' if number % 2 else 'bad'}\n" for number in range(90))
    (place / "评论.csv").write_text("text,label\n" + rows, encoding="utf-8")
    data = TextClassification(str(place / "评论.csv"), tokenizer=tokenizer, batch_size=40, word_dropout=0.3)
    (text, target), (dropped, kept) = batch_of(data)
    assert_dropped(data.built_tokenizer, text, dropped, "[UNK]", 0.3)
    assert torch.equal(target, kept)
    chinese = text.ids == data.built_tokenizer.token_to_id("房")
    assert chinese.any(1).all()
    assert 0 < int((dropped.ids[chinese] != text.ids[chinese]).sum()) < 40


def test_words_are_dropped_by_their_own_chance_and_padding_never() -> None:
    tokenizer = new_tokenizer("wordpiece", ["房间很好 a room"] * 3, 100)
    ids = torch.tensor(tokenizer.encode("房间很好 a room").ids)
    text = Text(torch.nn.functional.pad(ids, (0, 5)).expand(500, -1), torch.full((500,), len(ids)))
    torch.manual_seed(0)
    found = WordDropout(tokenizer, 0.5)(text)
    assert_dropped(tokenizer, text, found, "[UNK]", 0.5)
    assert len(found.ids.unique(dim=0)) > 30
    padded = text._replace(ids=text.ids.clone(), lengths=torch.full((500,), 3))
    padded.ids[:, 3:] = ids[1]  # a tokenizer without padding pads with a token that is also a word
    assert torch.equal(WordDropout(tokenizer, 0.5)(padded).ids[:, 3:], padded.ids[:, 3:])


def test_a_pretrained_models_words_are_masked() -> None:
    tokenizer = new_tokenizer("wordpiece", ["房间很好 a room"] * 3, 100)
    ids = torch.tensor([tokenizer.encode("房间很好 a room").ids] * 300)
    text = Text(ids, torch.full((300,), ids.shape[1]))
    torch.manual_seed(0)
    assert_dropped(tokenizer, text, WordDropout(tokenizer, 0.2, pretrained=True)(text), "[MASK]", 0.2)


def test_a_tokenizer_without_a_token_to_put_instead_is_refused(refused: Any) -> None:
    with refused("--data.word_dropout 0.1", "[UNK]"):
        WordDropout(Tokenizer(models.WordLevel({"a": 0}, unk_token="a")), 0.1)


def changed(before: Tensor, after: Tensor) -> bool:
    return not torch.equal(before, after)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", [TextClassification, Tagging, Reading])
def test_words_are_dropped_in_training_only(kind: Any, training: bool) -> None:
    data = kind(word_dropout=0.3)
    (before, target), (after, kept) = batch_of(data, training)
    assert changed(before.ids, after.ids) == training
    assert kept is target
    assert all(one is other for one, other in zip(before[1:], after[1:], strict=True))  # places stay what they were
    if training:
        assert_dropped(data.built_tokenizer, before, after, "[UNK]", 0.3)


@pytest.mark.parametrize("training", [True, False])
def test_words_of_the_source_alone_are_dropped(training: bool) -> None:
    data = Translation(source="zh", word_dropout=0.3)
    (pair, references), (dropped, kept) = batch_of(data, training)
    assert changed(pair.source.ids, dropped.source.ids) == training
    assert dropped.target is pair.target
    assert kept is references
    if training:
        tokenizer = Tokenizer.from_str(data.source_tokenizer)
        assert_dropped(tokenizer, pair.source, dropped.source, "[UNK]", 0.3)


@pytest.mark.parametrize("kind", [TextClassification, Tagging, Reading, Translation])
def test_a_chance_out_of_range_is_refused(kind: Any, refused: Any) -> None:
    with refused("--data.word_dropout", "got 1.0"):
        kind(word_dropout=1.0)
