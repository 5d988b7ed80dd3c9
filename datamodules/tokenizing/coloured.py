"""A row of tokens as text, and which of it is to be learned."""

from itertools import groupby
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


def coloured(batch: Packed, row: int, tokenizer: Tokenizer) -> list[list[Piece]]:
    """The texts of a row, in pieces of which every second is to be learned.

    What a batch has is shown, not what it was made of: a target that is another token than the next one would be seen.

    Args:
        batch: as a model reads it.
        row: of the batch.
        tokenizer: of its tokens.
    """
    ids, targets = batch.ids[row].tolist(), batch.targets[row].tolist()
    documents = [0] * len(ids) if batch.documents is None else batch.documents[row].tolist()
    texts = []
    for _, places in groupby(range(len(ids)), key=lambda place: documents[place]):
        inside = [*places]
        learned = [place for place in inside if targets[place] != IGNORED]
        if not learned:
            continue  # padding
        tokens = [(ids[inside[0]], False)]
        for place in inside[: inside.index(learned[-1]) + 1]:
            counts = targets[place] != IGNORED
            tokens.append((targets[place] if counts else ids[place + 1], counts))
        texts.append(
            [
                Piece(tokenizer.decode([token for token, _ in run], skip_special_tokens=False), counts)
                for counts, run in ((counts, [*run]) for counts, run in groupby(tokens, key=lambda token: token[1]))
            ]
        )
    return texts
