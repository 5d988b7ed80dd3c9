"""The words between the blanks of texts: most recur, so what is done to each is done once."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from tokenizers import Tokenizer

LOOKED_UP = 2**18  # characters of texts whose words are looked up together, in some ten times their memory
MAX_KNOWN = 2**17  # words of which something is known at once
CHINESE = "([\u3400-\u4dbf\u4e00-\u9fff])"
RECURRING = 2  # times that words must recur on average for looking them up to pay


class BlankWords(NamedTuple):
    """The words of some texts.

    Args:
        words: the different ones, in the order in which they first occur.
        codes: (W,) the index of each word of all texts among them.
        ends: (N + 1,) where the words of each text begin, and the end of the last.
    """

    words: list[str]
    codes: NDArray[np.int64]
    ends: NDArray[np.int64]


def parts_of(texts: Iterable[str]) -> Iterator[list[str]]:
    """Some texts after the other."""
    part, size = [], 0
    for text in texts:
        part.append(text)
        size += len(text)
        if size >= LOOKED_UP:
            yield part
            part, size = [], 0
    if part:
        yield part


def blank_words(texts: Sequence[str], chinese: bool = False) -> BlankWords | None:
    """The words of texts; None where they do not recur, or Arrow cannot hold half a surrogate pair.

    Args:
        texts: the texts.
        chinese: whether each Chinese character is a word of its own.
    """
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return None
    array = pa.array(texts, pa.large_string())
    if chinese:
        array = pc.replace_substring_regex(array, CHINESE, r" \1 ")
    split = pc.split_pattern(array, " ")
    coded = split.values.dictionary_encode()
    if len(coded) < RECURRING * len(coded.dictionary):
        return None
    return BlankWords(coded.dictionary.to_pylist(), coded.indices.to_numpy(), split.offsets.to_numpy())


class KnownWords:
    """The tokens of the words that were tokenized before.

    Args:
        tokenizer: whose truncation is left to the caller.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._forget()

    def _forget(self) -> None:
        self.places: dict[str, int] = {}
        self.sizes = np.zeros(0, np.int64)  # tokens of each word
        self.tokens = np.zeros(0, np.int32)  # of all words, end to end

    def places_of(self, words: list[str]) -> NDArray[np.int64]:
        """The index of each of different words among the known ones; those that are new are tokenized."""
        new = [word for word in words if word not in self.places]
        if len(self.places) + len(new) > MAX_KNOWN:
            self._forget()
            new = words
        if new:
            ids = [each.ids for each in self.tokenizer.encode_batch_fast(new, add_special_tokens=False)]
            sizes = np.fromiter(map(len, ids), np.int64, len(ids))
            tokens = np.fromiter(chain.from_iterable(ids), np.int32, int(sizes.sum()))
            self.places.update(zip(new, range(len(self.places), len(self.places) + len(new)), strict=True))
            self.sizes, self.tokens = np.append(self.sizes, sizes), np.append(self.tokens, tokens)
        return np.fromiter(map(self.places.__getitem__, words), np.int64, len(words))


def counted_words(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[str]:
    """How often the tokenizer finds each word in texts.

    Args:
        tokenizer: with BERT's normalizer, which separates Chinese characters, and pre-tokenizer.
        texts: any number of them.
    """
    counts: Counter[str] = Counter()
    between: Counter[str] = Counter()  # blanks

    def add_up() -> None:
        for text, count in between.items():
            for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text)):
                counts[word] += count
        between.clear()

    for some in parts_of(texts):
        if found := blank_words(some, chinese=True):
            for word, count in zip(found.words, np.bincount(found.codes).tolist(), strict=True):
                between[word] += count
        else:
            between.update(some)
        if len(between) > MAX_KNOWN:
            add_up()
    add_up()
    return counts
