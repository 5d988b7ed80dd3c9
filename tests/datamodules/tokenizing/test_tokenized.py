"""Words that are looked up have the tokens that the tokenizer gives their texts."""

import numpy as np
import pytest

from datamodules.tokenizing import tokens
from datamodules.tokenizing.tokens import encodings, new_tokenizer, tokenized

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
    monkeypatch.setattr(tokens, "RECURRING", recurring)
    monkeypatch.setattr(tokens, "LOOKED_UP", 7)
    found = [
        row.tolist()
        for values, lengths in tokenized(tokenizer, TEXTS)
        for row in np.split(values, lengths.cumsum()[:-1])
    ]
    assert found == [encoding.ids for encoding in encodings(tokenizer, TEXTS)]
    assert (tokenizer.truncation or {}).get("max_length") == max_length
