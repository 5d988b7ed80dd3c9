"""Generated texts with a sum in each, in English, in Chinese and in digits alone, and whether such a text is right."""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

import torch

from datamodules.loading.sampling import generator
from datamodules.synthetic.names import SPLIT_FRACTIONS

NAMES = {  # with what stands for them
    "en": {"Anna": "she", "Emma": "she", "Lucy": "she", "Ben": "he", "Jack": "he", "Tom": "he"},
    "zh": {"小红": "她", "小丽": "她", "小芳": "她", "小明": "他", "小刚": "他", "小亮": "他"},
}
NOUNS = {
    "en": ["apples", "books", "pens", "eggs", "cups", "balls"],
    "zh": ["个苹果", "本书", "支笔", "个鸡蛋", "个杯子", "个球"],  # each with its measure word, a character
}
VERBS = {"en": ["buys", "finds", "gets"], "zh": ["买", "找到", "得到"]}
# Up to the sum, and from there on. Both numbers stand before a noun, and the sum behind another verb than the first of
# them: small models copied it otherwise, and with "7 more" they learned to add three times as late, if at all.
FORMS = {
    "digits": ("{a} + {b} =", " {c}"),
    "en": ("{name} has {a} {noun} and {verb} {b} {noun}. Now {who} owns", " {c} {noun}."),
    "zh": ("{name}有{a}{noun}，又{verb}了{b}{unit}。现在{who}共有", "{c}{noun}。"),
}


class Sum(NamedTuple):
    """A sum as a text states it."""

    first: int
    second: int
    total: int


class Prompt(NamedTuple):
    """A text whose sum is to be told.

    Args:
        text: it begins so.
        answer: it goes on so, to its end.
    """

    text: str
    answer: str


def _any(words: Iterable[str], name: str = "") -> str:
    return f"(?{f'P<{name}>' if name else ':'}{'|'.join(words)})"


_A, _B, _C = (f"(?P<{number}>[1-9][0-9]*)" for number in "abc")
_PATTERNS = {
    "digits": rf"{_A} \+ {_B} = {_C}",
    "en": rf"{_any(NAMES['en'], 'name')} has {_A} {_any(NOUNS['en'], 'noun')} and {_any(VERBS['en'])} {_B} (?P=noun)\. "
    rf"Now (?P<who>she|he) owns {_C} (?P=noun)\.",
    "zh": rf"{_any(NAMES['zh'], 'name')}有{_A}{_any(NOUNS['zh'], 'noun')}，又{_any(VERBS['zh'])}了{_B}(?P<unit>.)。"
    rf"现在(?P<who>她|他)共有{_C}(?P=noun)。",
}


def read_sum(text: str) -> Sum | None:
    """The sum that a text states; None if it is no such text as is generated here, but for its numbers."""
    for language, pattern in _PATTERNS.items():
        found = re.fullmatch(pattern, text)
        if found is None:
            continue
        parts = found.groupdict()
        agrees = language == "digits" or NAMES[language][parts["name"]] == parts["who"]
        if agrees and (language != "zh" or parts["noun"][0] == parts["unit"]):
            return Sum(*(int(parts[number]) for number in "abc"))
    return None


def is_valid(text: str) -> bool:
    """Whether a text is such as is generated here, whatever its sum."""
    return read_sum(text) is not None


def is_right(text: str) -> bool:
    """Whether a text is valid, and its sum right."""
    found = read_sum(text)
    return found is not None and found.first + found.second == found.total


@cache
def sums_of(split: str) -> tuple[tuple[int, int], ...]:
    """The two numbers of each sum in a split, of which no other has any.

    The second has one digit, and nothing is carried, so that few examples tell how to add. Where the first has one
    digit too, the sum is in the training split, thrice: these are the table that the others are made of.
    """
    table, pairs = ([(a, b) for a in tens for b in range(1, 10 - a % 10)] for tens in (range(1, 10), range(10, 100)))
    order = torch.randperm(len(pairs), generator=generator(0)).tolist()
    start = 0
    for name, fraction in SPLIT_FRACTIONS.items():
        end = start + round(fraction * len(pairs))
        if name == split:
            return (*(3 * table if split == "train" else ()), *(pairs[place] for place in order[start:end]))
        start = end
    raise ValueError(f"no such split: {split}")


def prompts(split: str, size: int, seed: int = 0) -> list[Prompt]:
    """Beginnings of texts with the sums of a split, in each language in turn.

    Args:
        split: train, val or test.
        size: number of prompts.
        seed: of the generator.
    """
    pairs, languages = sums_of(split), list(FORMS)
    draws = torch.randint(2**31, (size, 4), generator=generator(seed, [*SPLIT_FRACTIONS].index(split))).tolist()
    found = []
    for number, (pair, name, noun, verb) in enumerate(draws):
        language = languages[number % len(languages)]
        a, b = pairs[pair % len(pairs)]
        words = {"a": str(a), "b": str(b), "c": str(a + b)}
        if language != "digits":
            words["name"] = _drawn([*NAMES[language]], name)
            words |= {"who": NAMES[language][words["name"]], "noun": _drawn(NOUNS[language], noun)}
            words |= {"verb": _drawn(VERBS[language], verb), "unit": words["noun"][0]}
        found.append(Prompt(*(part.format(**words) for part in FORMS[language])))
    return found


def _drawn(words: Sequence[str], number: int) -> str:
    return words[number % len(words)]
