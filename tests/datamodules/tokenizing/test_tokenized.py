"""Words that are looked up have the tokens that the tokenizer gives their texts."""

from typing import cast

import numpy as np
import pytest
from tokenizers import Encoding, Tokenizer, models, normalizers, pre_tokenizers, trainers

from datamodules.tokenizing import blank_words
from datamodules.tokenizing.tokens import (
    BEGIN,
    CLS,
    END,
    MASK,
    PAD,
    SEP,
    UNKNOWN,
    new_tokenizer,
    tokenized,
)

TEXTS = [
    *["the cat sat on the mat", "the dog, the cat and the Dog's mat"] * 10,
    *["", " ", "Cafe\u0301  x[SEP]y\tz\x1cq don't, [CLS] \u00c0\u00c9", "\u4e2d\u6587 \u5b57 a\u4e2d", "\u0301 a"],
]


@pytest.mark.parametrize("recurring", [0, 2, 100])  # looked up; as by default; never
@pytest.mark.parametrize("max_length", [None, 3, 5])
@pytest.mark.parametrize("algorithm", ["words", "wordpiece"])
def test_is_equal_to_the_tokenizer(
    algorithm: str, max_length: int | None, recurring: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = new_tokenizer(algorithm, TEXTS[:15], 40)
    if max_length is not None:
        tokenizer.enable_truncation(max_length)
    monkeypatch.setattr(blank_words, "RECURRING", recurring)
    monkeypatch.setattr(blank_words, "LOOKED_UP", 7)
    found = [
        row.tolist()
        for values, lengths in tokenized(tokenizer, TEXTS)
        for row in np.split(values, lengths.cumsum()[:-1])
    ]
    assert found == [encoding.ids for encoding in tokenizer.encode_batch_fast(TEXTS)]
    assert (tokenizer.truncation or {}).get("max_length") == max_length


def test_words_are_forgotten_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = new_tokenizer("wordpiece", TEXTS, 60)
    monkeypatch.setattr(blank_words, "RECURRING", 0)
    monkeypatch.setattr(blank_words, "LOOKED_UP", 7)
    expected = np.concatenate([values for values, _ in tokenized(tokenizer, TEXTS)])
    monkeypatch.setattr(blank_words, "MAX_KNOWN", 3)
    assert np.array_equal(np.concatenate([values for values, _ in tokenized(tokenizer, TEXTS)]), expected)


def test_each_word_is_tokenized_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    class Counting:
        def encode_batch_fast(self, words: list[str], add_special_tokens: bool) -> list[Encoding]:
            seen.extend(words)
            found: list[Encoding] = new_tokenizer("words", TEXTS, 60).encode_batch_fast(words)
            return found

    known = blank_words.KnownWords(cast(Tokenizer, Counting()))
    assert known.places_of(["a", "b"]).tolist() == [0, 1]
    assert known.places_of(["b", "c", "a"]).tolist() == [1, 2, 0]
    assert seen == ["a", "b", "c"]


@pytest.mark.parametrize("max_known", [3, 2**17])
@pytest.mark.parametrize("recurring", [0, 2, 100])
@pytest.mark.parametrize(("vocab_size", "min_frequency"), [(10, 1), (16, 2), (100, 1), (100, 3)])
def test_the_vocabulary_of_words_is_that_of_the_trainer(
    vocab_size: int, min_frequency: int, recurring: int, max_known: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    slow.normalizer = normalizers.BertNormalizer(lowercase=True, handle_chinese_chars=True)
    slow.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordLevelTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=[PAD, UNKNOWN, CLS, SEP, MASK, BEGIN, END],
        show_progress=False,
    )
    texts = [
        *TEXTS,
        "\u4e2d\u0301\u4e2d\u6587a\u5b57",
        "\u3400\u4dbf\u20000 \U00020000\u4e00",
        "z y x w",
        "\u30ab\u30bf",
    ]
    slow.train_from_iterator(texts, trainer)
    monkeypatch.setattr(blank_words, "RECURRING", recurring)
    monkeypatch.setattr(blank_words, "LOOKED_UP", 7)
    monkeypatch.setattr(blank_words, "MAX_KNOWN", max_known)
    assert new_tokenizer("words", texts, vocab_size, min_frequency).to_str() == slow.to_str()
