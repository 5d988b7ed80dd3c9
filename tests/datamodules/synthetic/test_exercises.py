"""The generated texts are valid and right, no other is, and no sum of one split is asked for in another."""

import re

import pytest

from datamodules.synthetic.exercises import generated_exercises, is_right, is_valid, prompts
from datamodules.synthetic.grammars import GRAMMARS
from datamodules.synthetic.sums import sums_of

SPLITS = ("train", "val", "test")


def test_every_generated_text_is_valid_and_right_and_always_the_same() -> None:
    texts, splits = generated_exercises(2000, seed=0)
    assert all(map(is_right, texts))
    assert (texts, splits) == generated_exercises(2000, seed=0)
    assert texts != generated_exercises(2000, seed=1)[0]
    assert sorted(row for rows in splits.values() for row in rows) == [*range(2000)]


def test_no_sum_of_a_split_is_in_another() -> None:
    texts, splits = generated_exercises(6000, seed=0)
    for split in SPLITS:
        numbers = [[*map(int, re.findall(r"\d+", texts[row]))] for row in splits[split]]
        assert {tuple(found[:2]) for found in numbers if found} == {*sums_of(split)}


@pytest.mark.parametrize(
    ("text", "valid", "right"),
    [
        ("12 + 7 = 19", True, True),
        ("12 + 7 = 18", True, False),
        ("Q: What is 12 plus 7?\nA: 19", True, True),
        ("Q: What is 12 plus 7?\nA: I think that the answer is 19.", True, True),
        ("Q: What is 12 plus 7?\nA: 20", True, False),
        ("Q: What is 12 plus 7?\nA: ", False, False),
        ("Q: What is 12 plus 7? A: 19", False, False),
        ("Q: What is 12 times 7?\nA: 84", False, False),
        ("问：热的反义词是什么？\n答：冷", True, True),
        ("问：热的反义词是什么？\n答：热", True, False),
        ("问：热的反义词是什么？\n答：冷\n", False, False),
        ("", False, False),
    ],
)
def test_a_text_has_its_form_and_its_answer(text: str, valid: bool, right: bool) -> None:
    assert (is_valid(text), is_right(text)) == (valid, right)


def test_prompts_are_sums_of_the_split_and_their_answers_complete_them() -> None:
    for split in SPLITS:
        found = prompts(split, 91, seed=3)
        assert found == prompts(split, 91, seed=3)
        assert len(found) == 91
        assert all(is_right(prompt.text + prompt.answer) for prompt in found)
        assert not any(is_valid(prompt.text) for prompt in found)
        numbers = [[*map(int, re.findall(r"\d+", "".join(prompt)))] for prompt in found]
        assert {tuple(both[:2]) for both in numbers} <= {*sums_of(split)}


def test_the_judge_is_found_by_the_name_of_the_data() -> None:
    judge = GRAMMARS["exercises"]
    (text, answer), *_ = judge.prompts("test", 3, 0)
    assert judge.is_right(text + answer)
    assert not judge.is_valid(text)
