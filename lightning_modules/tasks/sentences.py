"""The sentence of a text that likely answers a question: what a search engine would show."""

import math
import re
from collections import Counter

from lightning_modules.tasks.answers import parts

_SENTENCE = re.compile(r".+?(?:[。！？；!?;]+[”’」』]?|\.(?=\s|$)|\n|$)", re.DOTALL)
SATURATION, LENGTH = 1.2, 0.75  # k1 and b of BM25, the usual ones


def sentences_of(context: str) -> list[str]:
    """The sentences of a text."""
    return [match.group().strip() for match in _SENTENCE.finditer(context) if match.group().strip()]


def likeliest_sentence(question: str, context: str, chinese: bool) -> str:
    """The first sentence that has the most words (in Chinese, characters) in common with the question."""
    words = set(parts(question, chinese))
    return max(sentences_of(context), key=lambda sentence: len(words & set(parts(sentence, chinese))), default="")


def best_by_bm25(question: str, context: str, chinese: bool) -> str:
    """The first sentence with the highest BM25 score for the question among those of the text."""
    sentences = sentences_of(context)
    scores = bm25(parts(question, chinese), [parts(sentence, chinese) for sentence in sentences])
    return max(zip(scores, sentences, strict=True), key=lambda pair: pair[0], default=(0.0, ""))[1]


def bm25(query: list[str], documents: list[list[str]]) -> list[float]:
    """The score of each document: its rare words of the query count most, long documents less.

    `Σ idf(w) · f(w) (k + 1) / (f(w) + k (1 - b + b · length / mean length))`, Robertson & Zaragoza 2009,
    https://doi.org/10.1561/1500000019, with `idf(w) = log(1 + (N - n(w) + ½) / (n(w) + ½))`.

    Args:
        query: its words, each of which counts once.
        documents: the words of each.
    """
    counts = [Counter(document) for document in documents]
    mean = sum(map(len, documents)) / max(len(documents), 1) or 1.0
    scores = [0.0] * len(documents)
    for word in dict.fromkeys(query):
        having = sum(word in count for count in counts)
        idf = math.log(1 + (len(documents) - having + 0.5) / (having + 0.5))
        for place, (count, document) in enumerate(zip(counts, documents, strict=True)):
            relative = 1 - LENGTH + LENGTH * len(document) / mean
            scores[place] += idf * count[word] * (SATURATION + 1) / (count[word] + SATURATION * relative)
    return scores
