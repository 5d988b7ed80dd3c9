"""Generated texts to pretrain on: stories with sums, and questions with answers; and whether such a text is right."""

import re
from typing import Any

from datamodules.loading.sampling import generator
from datamodules.synthetic import sums
from datamodules.synthetic.conversations import KINDS, Speaker, is_right_answer, right_answer
from datamodules.synthetic.names import SPLIT_FRACTIONS
from datamodules.synthetic.sums import Prompt

FORMS = {"en": ("Q: {}\nA:", " {}"), "zh": ("问：{}\n答：", "{}")}
_PATTERNS = [re.compile("".join(form).replace("{}", "([^\n]+)")) for form in FORMS.values()]


def _asked(text: str) -> tuple[list[dict[str, Any]], str] | None:
    """The question in a text, as a conversation, and the answer; None in a text of another form."""
    found = next((match for pattern in _PATTERNS if (match := pattern.fullmatch(text))), None)
    return None if found is None else ([{"role": "user", "content": found[1]}], found[2])


def is_valid(text: str) -> bool:
    """Whether a text is such as is generated here, whatever its sum or its answer."""
    asked = _asked(text)
    return sums.is_valid(text) if asked is None else right_answer(asked[0]) is not None


def is_right(text: str) -> bool:
    """Whether a text is valid, and its sum or its answer right."""
    asked = _asked(text)
    return sums.is_right(text) if asked is None else is_right_answer(*asked)


def _questions(split: str, size: int, seed: int, kinds: tuple[str, ...]) -> list[Prompt]:
    """Questions of these kinds in both languages in turn, each with an answer."""
    speaker = Speaker(generator(seed, [*SPLIT_FRACTIONS].index(split)), split)
    found = []
    for number in range(size):
        language = ("en", "zh")[number % 2]
        message = speaker.asked([], kinds, language)
        answer = right_answer([message])
        assert answer is not None, message
        begin, end = FORMS[language]
        found.append(Prompt(begin.format(message["content"]), end.format(speaker.said(answer, language))))
    return found


def prompts(split: str, size: int, seed: int = 0, kinds: tuple[str, ...] = ("sum",)) -> list[Prompt]:
    """Beginnings of texts with the sums of a split, stories and questions in turn.

    Args:
        split: train, val or test.
        size: number of prompts.
        seed: of the generator.
        kinds: of questions.
    """
    both = [sums.prompts(split, size - size // 2, seed), _questions(split, size // 2, seed, kinds)]
    return [both[number % 2][number // 2] for number in range(size)]


def generated_exercises(size: int, seed: int) -> tuple[list[str], dict[str, list[int]]]:
    """Stories and questions of all kinds, of which none in the test split has a sum of another.

    Args:
        size: number of texts in all splits; 70 % are for training, 10 % for validation.
        seed: of the generator.

    Returns:
        The texts, and the indices of each split's.
    """
    texts: list[str] = []
    splits: dict[str, list[int]] = {}
    for split, fraction in SPLIT_FRACTIONS.items():
        made = prompts(split, round(fraction * size), seed, KINDS)
        splits[split] = list(range(len(texts), len(texts) + len(made)))
        texts += [text + answer for text, answer in made]
    return texts, splits
