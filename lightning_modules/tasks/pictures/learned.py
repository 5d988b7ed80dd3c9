"""A picture of rows of tokens, and of which tokens are to be learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

from datamodules.tokenizing.coloured import coloured
from datamodules.tokenizing.packed import Packed
from lightning_modules.tasks.pictures.figure import GREEN, style
from lightning_modules.tasks.pictures.texts import MarkedText, legend_of, marked_texts
from lightning_modules.tasks.pictures.wrapping import Span

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 12  # texts
LEARNED = "counts in the loss"


def learned_texts(batches: Mapping[str, Packed], tokenizer: Tokenizer) -> Figure:
    """A figure of the texts in rows of tokens as a model gets them, those tokens coloured that it is to predict.

    Args:
        batches: of as many rows each, by what they are.
        tokenizer: of their tokens.
    """
    texts = []
    for row in range(max(len(batch.ids) for batch in batches.values())):
        for name, batch in batches.items():
            found = coloured(batch, row, tokenizer)
            for number, pieces in enumerate(found):
                text, spans = "", []
                for piece in pieces:
                    if piece.counts:
                        spans.append(Span(len(text), len(text) + len(piece.text), GREEN))
                    text += piece.text
                place = f"row {row + 1}" + (f", text {number + 1} of {len(found)}" if len(found) > 1 else "")
                texts.append(MarkedText(text, spans, f"{name}, {place}" if name else place))
        if len(texts) >= MOST:
            break
    with style():
        return marked_texts(texts[:MOST], legend_of({LEARNED: GREEN}))
