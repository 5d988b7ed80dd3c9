"""How answers are compared with the right ones: the official definitions for English and for Chinese."""

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_CHINESE = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]")
_SIGNS = set(string.punctuation) | set("，。：？！“”‘’；、《》〈〉【】〔〕（）「」『』…·—－～．％￥")
_SENTENCE = re.compile(r".+?(?:[。！？；!?;]+[”’」』]?|\.(?=\s|$)|\n|$)", re.DOTALL)


def is_chinese(text: str) -> bool:
    """Whether at least a third of the letters are Chinese characters: each says more than a Latin letter."""
    letters = [letter for letter in text if letter.isalpha()]
    return bool(letters) and 3 * sum(bool(_CHINESE.match(letter)) for letter in letters) >= len(letters)


def normalised(answer: str, chinese: bool) -> str:
    """An answer without what does not matter: case, punctuation, blanks, and in English articles."""
    plain = "".join(sign for sign in answer.lower() if sign not in _SIGNS)
    return "".join(plain.split()) if chinese else " ".join(_ARTICLES.sub(" ", plain).split())


def parts(answer: str, chinese: bool) -> list[str]:
    """What two answers are compared by: words; in Chinese characters, and words of other letters."""
    if not chinese:
        return normalised(answer, chinese=False).split()
    spaced = "".join(
        f" {sign} " if _CHINESE.match(sign) else " " if sign in _SIGNS else sign for sign in answer.lower()
    )
    return spaced.split()


def exact_match(answer: str, right: Sequence[str], chinese: bool = False) -> float:
    """Whether the answer is one of the right ones, 1 or 0.

    Args:
        answer: given; empty for "no answer".
        right: answers; none where there is no answer.
        chinese: how they are compared.
    """
    mine = normalised(answer, chinese)
    return float(any(mine == normalised(text, chinese) for text in right or [""]))


def f1(answer: str, right: Sequence[str], chinese: bool = False) -> float:
    """How far the answer agrees with the right one that is nearest to it, from 0 to 1.

    In English the words that both share, as in SQuAD (Rajpurkar et al. 2016, https://arxiv.org/abs/1606.05250); in
    Chinese the longest run of characters that both share, as in CMRC 2018 (Cui et al. 2019,
    https://arxiv.org/abs/1810.07366). Where either is "no answer", both have to be.

    Args:
        answer: given; empty for "no answer".
        right: answers; none where there is no answer.
        chinese: how they are compared.
    """
    return max(_agreement(parts(answer, chinese), parts(text, chinese), chinese) for text in right or [""])


def _agreement(mine: list[str], right: list[str], chinese: bool) -> float:
    if not mine or not right:
        return float(mine == right)
    shared = longest_run(mine, right) if chinese else (Counter(mine) & Counter(right)).total()
    return 2 * shared / (len(mine) + len(right))


def longest_run(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest run of parts that stands in both."""
    longest = 0
    before = [0] * (len(second) + 1)
    for part in first:
        here = [0] * (len(second) + 1)
        for place, other in enumerate(second, start=1):
            if part == other:
                here[place] = before[place - 1] + 1
                longest = max(longest, here[place])
        before = here
    return longest


def likeliest_sentence(question: str, context: str, chinese: bool) -> str:
    """The sentence that shares most words (in Chinese, characters) with the question; the first of several."""
    wanted = set(parts(question, chinese))
    sentences = [match.group().strip() for match in _SENTENCE.finditer(context) if match.group().strip()]
    return max(sentences, key=lambda sentence: len(wanted & set(parts(sentence, chinese))), default="")
