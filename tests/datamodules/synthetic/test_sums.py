"""The generated texts are valid and right, no other is, and no sum of one split is in another."""

import random

import pytest

from datamodules.synthetic.sums import Sum, is_right, is_valid, prompts, read_sum, sums_of

SPLITS = ("train", "val", "test")


def test_no_sum_of_a_split_is_in_another() -> None:
    found = {split: {read_sum("".join(prompt)) for prompt in prompts(split, 4000)} for split in SPLITS}
    stated = {split: {Sum(a, b, a + b) for a, b in sums_of(split)} for split in SPLITS}
    assert found == stated
    assert not stated["test"] & (stated["train"] | stated["val"])
    assert not stated["val"] & stated["train"]
    assert all(a % 10 + b < 10 for split in SPLITS for a, b in sums_of(split))
    assert {(a, b) for a in range(1, 10) for b in range(1, 10) if a + b < 10} <= {*sums_of("train")}


def test_a_wrong_digit_is_valid_and_not_right_and_another_letter_neither() -> None:
    draw = random.Random(0)
    for text in map("".join, prompts("train", 300)):
        *_, c = map(str, read_sum(text) or ())
        before, _, after = text.rpartition(c)
        wrong = f"{before}{int(c) + 1}{after}"
        assert is_valid(wrong)
        assert not is_right(wrong)
        place = draw.randrange(len(text))
        if not text[place].isdigit():
            assert not is_valid(text[:place] + "#" + text[place + 1 :])
            assert not is_valid(text[:place] + text[place + 1 :])
        assert not is_valid(text + text[-1:] + " ")


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("Anna has 12 apples and buys 7 apples. Now she owns 19 apples.", True),
        ("Anna has 12 apples and buys 7 apples. Now he owns 19 apples.", False),
        ("Anna has 12 apples and buys 7 apples. Now she owns 19 pens.", False),
        ("小明有12个苹果，又买了7个。现在他共有19个苹果。", True),
        ("小明有12个苹果，又买了7个。现在她共有19个苹果。", False),
        ("小明有12个苹果，又买了7本。现在他共有19个苹果。", False),
        ("12 + 7 = 19", True),
        ("12 + 7 = 019", False),
        ("12 + 7 =", False),
        ("", False),
    ],
)
def test_words_have_to_agree(text: str, valid: bool) -> None:
    assert is_valid(text) == valid


def test_prompts_are_of_the_split_and_their_answers_complete_them() -> None:
    for split in SPLITS:
        found = prompts(split, 90, seed=3)
        assert found == prompts(split, 90, seed=3)
        assert all(is_right(prompt.text + prompt.answer) for prompt in found)
        assert not any(is_valid(prompt.text) for prompt in found)
        assert {read_sum("".join(prompt))[:2] for prompt in found} <= {*sums_of(split)}  # type: ignore[index]
