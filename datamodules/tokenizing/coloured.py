"""A row of tokens as text, and which of it is to be learned."""

from itertools import groupby, islice, takewhile
from typing import NamedTuple

from tokenizers import Tokenizer

from datamodules.tokenizing.packed import IGNORED, Packed


class Piece(NamedTuple):
    """A part of a text.

    Args:
        text: with its special tokens.
        counts: whether it is to be learned.
    """

    text: str
    counts: bool


class Token(NamedTuple):
    """A token of a row.

    Args:
        token: its index in the vocabulary.
        counts: whether it is to be learned.
    """

    token: int
    counts: bool


def texts_of(batch: Packed, row: int) -> list[list[Token]]:
    """The tokens of each text in a row, as far as the last that is to be learned.

    What a batch has is shown, not what it was made of: a target that is another token than the next one would be seen.

    Args:
        batch: as a model reads it.
        row: of the batch.
    """
    ids, targets = batch.ids[row].tolist(), batch.targets[row].tolist()
    documents = [0] * len(ids) if batch.documents is None else batch.documents[row].tolist()
    texts = []
    for _, places in groupby(range(len(ids)), key=lambda place: documents[place]):
        inside = [*places]
        learned = [place for place in inside if targets[place] != IGNORED]
        if not learned:
            continue  # padding
        tokens = [Token(ids[inside[0]], False)]
        for place in inside[: inside.index(learned[-1]) + 1]:
            counts = targets[place] != IGNORED
            tokens.append(Token(targets[place] if counts else ids[place + 1], counts))
        texts.append(tokens)
    return texts


def coloured(batch: Packed, row: int, tokenizer: Tokenizer) -> list[list[Piece]]:
    """The texts of a row, in pieces of which every second is to be learned.

    Args:
        batch: as a model reads it.
        row: of the batch.
        tokenizer: of its tokens.
    """
    return [
        [
            Piece(tokenizer.decode([each.token for each in run], skip_special_tokens=False), counts)
            for counts, run in ((counts, [*run]) for counts, run in groupby(tokens, key=lambda token: token.counts))
        ]
        for tokens in texts_of(batch, row)
    ]


def first_answers(batch: Packed, most: int) -> list[tuple[list[int], list[int]]]:
    """The tokens of the first texts of a batch: as far as the first that is to be learned, and those from there on.

    Args:
        batch: as a model reads it.
        most: number of texts.
    """
    found = (tokens for row in range(len(batch.ids)) for tokens in texts_of(batch, row))
    pairs = []
    for tokens in islice(found, most):
        begin = next(place for place, token in enumerate(tokens) if token.counts)
        answer = takewhile(lambda token: token.counts, tokens[begin:])
        pairs.append(([each.token for each in tokens[:begin]], [each.token for each in answer]))
    return pairs
