"""Letters and bytes by a table are the tokens that the tokenizer has for them."""

import random

import pytest

from datamodules.tokenizing.language import SPECIAL, new_language_tokenizer
from datamodules.tokenizing.letters import letters_of

SIGNS = "ab \n\t.,'0中文é🙂▁<|>\u200d\u0301" + "".join(map(chr, range(1, 32)))


@pytest.mark.parametrize("algorithm", ["characters", "bytes"])
def test_the_tokens_are_those_of_the_tokenizer(algorithm: str) -> None:
    tokenizer = new_language_tokenizer(algorithm, [SIGNS[:20], "<0x41>"], 0)  # type: ignore[arg-type]
    tokenizer.encode_special_tokens = True
    letters = letters_of(tokenizer)
    assert letters is not None
    draw = random.Random(0)
    texts = ["", SIGNS, *SPECIAL, "<0x41>", *("".join(draw.choices(SIGNS, k=50)) for _ in range(100))]
    for text in texts:
        assert letters.ids(text).tolist() == tokenizer.encode(text, add_special_tokens=False).ids, text
        assert tokenizer.decode(letters.ids(text).tolist(), skip_special_tokens=False) == text


def test_a_tokenizer_that_merges_has_no_table() -> None:
    assert letters_of(new_language_tokenizer("bpe", ["the the the"] * 9, 300)) is None
