"""Tokens of a text, and the text that they are joined to."""

from collections.abc import Sequence
from typing import Any

from datamodules.tokenizing.tokens import BEGIN, CLS, END, PAD, SEP, Text
from lightning_modules.tasks.pictures.wrapping import is_east_asian

FRAMES = {PAD, CLS, SEP, BEGIN, END, "<s>", "</s>", "<pad>"}  # tokens that are no part of the text
WORD_MARKS = ("▁", "Ġ")  # in front of the first piece of a word, as SentencePiece and byte-level BPE write it


def tokens_of(text: Text, token_names: Sequence[str]) -> list[list[str]]:
    """The tokens of each text.

    Args:
        text: B of them.
        token_names: of all V tokens.
    """
    rows = zip(text.ids.tolist(), text.lengths.tolist(), strict=True)
    return [[token_names[index] for index in ids[:length]] for ids, length in rows]


def joined(tokens: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """The tokens as a text: subwords are joined, and East Asian characters are not separated by spaces.

    Args:
        tokens: T of them.

    Returns:
        The text, and where in it each token begins and ends; of a token that is no part of the text, the same place.
    """
    text, places = "", []
    marked = any(token.startswith(WORD_MARKS) for token in tokens)
    for token in tokens:
        if token in FRAMES:
            places.append((len(text), len(text)))
            continue
        piece = token[1:] if token.startswith(WORD_MARKS) else token if marked else token.removeprefix("##")
        begins = token != piece if marked else token == piece
        if text and piece and begins and not (is_east_asian(text[-1]) or is_east_asian(piece[0])):
            text += " "
        places.append((len(text), len(text) + len(piece)))
        text += piece
    return text, places


def heaviest(tokens: Sequence[str], weights: Sequence[float], count: int = 5) -> list[dict[str, Any]]:
    """The tokens with the largest weights, in descending order.

    Args:
        tokens: T of them.
        weights: at least T; those of the padding come last.
        count: maximum number of tokens.
    """
    order = sorted(range(len(tokens)), key=lambda index: -weights[index])[:count]
    return [{"token": tokens[index], "place": index, "weight": round(weights[index], 4)} for index in order]
