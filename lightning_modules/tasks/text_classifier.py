"""Classification of texts: what is shown of them."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from datamodules.tokenizing.tokens import Text
from lightning_modules.tasks.boards import MAX_TEXTS, escape, mistakes, table
from lightning_modules.tasks.classifier import Classifier
from lightning_modules.tasks.pictures.figure import ORANGE
from lightning_modules.tasks.pictures.images import cut
from lightning_modules.tasks.pictures.texts import ALL_RIGHT, MarkedText, caption_of, marked_texts
from lightning_modules.tasks.pictures.wrapping import Span
from lightning_modules.tasks.subwords import joined, tokens_of
from lightning_modules.tasks.task import Board

FAINTEST = 0.05  # of the largest weight; less is not marked
MAX_CHARS = 300  # of a text in a table


class TextClassifier(Classifier):
    """A classifier whose batch is `(Text, target)`.

    Args:
        num_tokens: V, the size of the vocabulary.
        token_names: names of the V tokens, for what is shown; their indices by default.
        kwargs: arguments of Classifier and Task.
    """

    attends: ClassVar[str] = ""  # what `attention_weights` are

    def __init__(
        self,
        num_tokens: int,
        token_names: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.token_names = list(token_names or map(str, range(num_tokens)))

    def attention_weights(self, text: Text) -> Tensor | None:
        """The weight of each token, (B, T), whose rows sum to 1; None where there is none."""
        return None

    def show(self, batch: Any, board: Board) -> None:
        """The texts whose class is mistaken, worst first, with the attention to each token; right ones, if all are."""
        text, _ = batch
        outcomes = self.outcomes(batch, self.step(batch))
        found = self.results().rows(outcomes)
        chosen, all_right = mistakes(outcomes.worst(), found["correct"], MAX_TEXTS)
        rows = torch.tensor(chosen, dtype=torch.long, device=text.ids.device)
        shown = Text(text.ids[rows], text.lengths[rows])
        weights = self.attention_weights(shown)
        texts, cells = [], []
        for index, (row, tokens) in enumerate(zip(chosen, tokens_of(shown, self.token_names), strict=True)):
            true, predicted, confidence = (found[name][row] for name in ("target", "prediction", "probability"))
            words, places = joined(tokens)
            spans = [] if weights is None else attended(places, weights[index].tolist())
            origin = board.names[row] if board.names else ""
            caption = caption_of([f"{true} → {predicted} {100 * confidence:.0f} %", origin])
            texts.append(MarkedText(words, spans, caption, correct=all_right))
            cells.append(
                [escape(true), f"{escape(predicted)} {confidence:.2f}", *map(escape, (cut(words, MAX_CHARS), origin))]
            )
        which = ALL_RIGHT if all_right else f"{len(chosen)} mistakes, the worst first"
        note = f"{which}: true class → predicted class and its probability"
        shade = f"; shade of a word: {self.attends}" if weights is not None else ""
        board.figure("worst mistakes", marked_texts(texts, note=note + shade))
        board.text("texts", table(["true", "predicted", "text", "from"], cells))


def attended(places: Sequence[tuple[int, int]], weights: Sequence[float]) -> list[Span]:
    """The tokens of a text, each marked as strongly as it is attended to, relative to the strongest one.

    Args:
        places: where each of T tokens begins and ends; tokens that are no part of the text are not marked.
        weights: at least T; those of the padding come last.
    """
    largest = max((weight for (start, end), weight in zip(places, weights, strict=False) if start < end), default=0.0)
    return [
        Span(start, end, ORANGE, weight / largest)
        for (start, end), weight in zip(places, weights, strict=False)
        if start < end and weight > FAINTEST * largest
    ]
