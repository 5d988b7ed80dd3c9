"""Comparison of answers with the true ones: the official definitions for English and for Chinese."""

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_CHINESE = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]")
_PUNCTUATION = set(string.punctuation) | set("，。：？！“”‘’；、《》〈〉【】〔〕（）「」『』…·—－～．％￥")


def is_chinese(text: str) -> bool:
    """Whether at least a third of the letters are Chinese characters, each of which carries more than a Latin one."""
    letters = [letter for letter in text if letter.isalpha()]
    return bool(letters) and 3 * sum(bool(_CHINESE.match(letter)) for letter in letters) >= len(letters)


def normalised(answer: str, chinese: bool) -> str:
    """An answer in lower case, without punctuation and superfluous whitespace, in English also without articles."""
    plain = "".join(char for char in answer.lower() if char not in _PUNCTUATION)
    return "".join(plain.split()) if chinese else " ".join(_ARTICLES.sub(" ", plain).split())


def parts(answer: str, chinese: bool) -> list[str]:
    """The units by which answers are compared: words; in Chinese characters, and words in other scripts."""
    if not chinese:
        return normalised(answer, chinese=False).split()
    spaced = "".join(
        f" {char} " if _CHINESE.match(char) else " " if char in _PUNCTUATION else char for char in answer.lower()
    )
    return spaced.split()


def exact_match(answer: str, true: Sequence[str], chinese: bool = False) -> float:
    """Whether the answer is one of the true ones, 1 or 0.

    Args:
        answer: the prediction; empty for "no answer".
        true: answers; none where there is no answer.
        chinese: whether they are compared by characters.
    """
    predicted = normalised(answer, chinese)
    return float(any(predicted == normalised(text, chinese) for text in true or [""]))


def f1(answer: str, true: Sequence[str], chinese: bool = False) -> float:
    """The maximum F1 of the answer with any of the true ones, from 0 to 1.

    In English of the common words, as in SQuAD (Rajpurkar et al. 2016, https://arxiv.org/abs/1606.05250); in Chinese
    of the longest common substring, as in CMRC 2018 (Cui et al. 2019, https://arxiv.org/abs/1810.07366). Where either
    is "no answer", it is 1 if both are.

    Args:
        answer: the prediction; empty for "no answer".
        true: answers; none where there is no answer.
        chinese: whether they are compared by characters.
    """
    return max(_f1_of_parts(parts(answer, chinese), parts(text, chinese), chinese) for text in true or [""])


def _f1_of_parts(predicted: list[str], true: list[str], chinese: bool) -> float:
    if not predicted or not true:
        return float(predicted == true)
    common = longest_run(predicted, true) if chinese else (Counter(predicted) & Counter(true)).total()
    return 2 * common / (len(predicted) + len(true))


def longest_run(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common run of parts."""
    longest = 0
    previous = [0] * (len(second) + 1)  # length of the run that ends at each part
    for part in first:
        current = [0] * (len(second) + 1)
        for index, other in enumerate(second, start=1):
            if part == other:
                current[index] = previous[index - 1] + 1
                longest = max(longest, current[index])
        previous = current
    return longest
