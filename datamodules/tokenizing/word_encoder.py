"""Words as tokens, in pieces of sentences that are too long for a model."""

from collections.abc import Sequence

from tokenizers import Tokenizer, pre_tokenizers

from datamodules.tokenizing.tokens import UNKNOWN, padding_id

SENTENCE_ENDS = "。！？；!?;."
MAX_CACHED_WORDS = 100_000  # whose tokens are kept


class Encoder:
    """Cuts words into tokens, and long sentences into pieces.

    Args:
        tokenizer: tokenizer of the model.
        max_length: maximum number of tokens in a piece, including the special ones.
    """

    def __init__(self, tokenizer: Tokenizer, max_length: int) -> None:
        self.tokenizer = tokenizer
        if isinstance(tokenizer.pre_tokenizer, pre_tokenizers.ByteLevel):  # as for a word that is not the first
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        example = tokenizer.encode("a")
        special = example.special_tokens_mask
        inside = special.index(0) if 0 in special else len(special)
        self.before = example.ids[:inside]
        self.after = [token for token, mark in zip(example.ids[inside:], special[inside:], strict=True) if mark]
        self.room = max_length - len(self.before) - len(self.after)
        unknown = tokenizer.token_to_id(UNKNOWN)
        self.unknown = padding_id(tokenizer) if unknown is None else unknown
        self.cache: dict[str, list[int]] = {}

    def add_words(self, words: set[str]) -> None:
        """Tokenize words that are not in the cache yet."""
        if len(self.cache) > MAX_CACHED_WORDS:
            self.cache.clear()
        new = sorted(words - self.cache.keys())
        for word, encoding in zip(new, self.tokenizer.encode_batch(new, add_special_tokens=False), strict=True):
            self.cache[word] = (encoding.ids or [self.unknown])[: self.room]

    def pieces(self, words: Sequence[str]) -> tuple[list[list[int]], list[tuple[int, int]]]:
        """The tokens of each piece, and for each word the piece and the position in it of its first token.

        A full piece ends after the last sentence in its second half, or else after the last word.
        """
        cuts, used, last_end = [0], 0, 0
        sizes = [len(self.cache[word]) for word in words]
        for index, size in enumerate(sizes):
            if used + size > self.room:
                begin = cuts[-1]
                cut = last_end if last_end > begin and sum(sizes[begin:last_end]) * 2 > self.room else index
                cuts.append(cut)
                used = sum(sizes[cut:index])
            used += size
            if words[index][-1] in SENTENCE_ENDS:
                last_end = index + 1
        pieces, first = [], []
        for piece, (start, end) in enumerate(zip(cuts, [*cuts[1:], len(words)], strict=True)):
            tokens = list(self.before)
            for word in words[start:end]:
                first.append((piece, len(tokens)))
                tokens += self.cache[word]
            pieces.append(tokens + self.after)
        return pieces, first
