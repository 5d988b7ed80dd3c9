"""Pictures of translations: beside their references, and what each of their tokens attends to."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from lightning_modules.tasks.pictures.figure import BLUE, ORANGE, new_figure
from lightning_modules.tasks.pictures.fonts import legible, width
from lightning_modules.tasks.pictures.images import cut
from lightning_modules.tasks.pictures.texts import EM, POINTS, MarkedText, caption_of, legend_of, marked_texts
from lightning_modules.tasks.pictures.wrapping import Span, words_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 32  # tokens of a side of a map
MAX_CHARS = 14  # of a token
CELL, LABELS = 0.2, 1.0  # inches
LEGEND = {"only in the translation": ORANGE, "only in the reference": BLUE}


class Translated(NamedTuple):
    """A sentence with its translation.

    Args:
        source: the sentence.
        translation: the model's.
        reference: somebody's.
        score: of the translation, chrF from 0 to 100.
        origin: where it is from.
    """

    source: str
    translation: str
    reference: str
    score: float
    origin: str = ""


class Attention(NamedTuple):
    """What the tokens of a translation attend to.

    Args:
        weights: (T, S), whose rows sum to 1.
        target: T tokens.
        source: S tokens.
    """

    weights: Tensor
    target: Sequence[str]
    source: Sequence[str]


def translated_texts(sentences: Sequence[Translated]) -> Figure:
    """A figure of sentences, each above its translation and the reference, in which the words that differ are marked.

    Args:
        sentences: worst first.
    """
    texts = []
    for source, translation, reference, score, origin in sentences:
        only, missing = differences(translation, reference)
        right = translation == reference
        texts.append(MarkedText(source, (), caption_of([f"chrF {score:.1f}", origin]), correct=right, side="source"))
        texts.append(MarkedText(translation, [Span(*place, ORANGE) for place in only], side="translation"))
        texts.append(MarkedText(reference, [Span(*place, BLUE) for place in missing], side="reference"))
    return marked_texts(texts, legend_of(LEGEND), f"{len(sentences)} translations, worst first")


def differences(first: str, second: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The words of either text that are not in the other one at this place: where they begin and end."""
    places = words_of(first), words_of(second)
    words = [[text[start:end] for start, end in each] for text, each in zip((first, second), places, strict=True)]
    matcher = SequenceMatcher(None, words[0], words[1], autojunk=False)
    found: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
    for tag, *bounds in matcher.get_opcodes():
        for parts, each, low, high in zip(found, places, bounds[::2], bounds[1::2], strict=True):
            if tag != "equal" and low < high:
                parts.append((each[low][0], each[high - 1][1]))
    return found


def attention_maps(maps: Sequence[Attention], note: str = "") -> Figure:
    """A figure of maps below each other: a row for each token of a translation, a column for each of its source.

    Args:
        maps: at least one.
        note: what the weights are.
    """
    longest = max(max(each.weights.shape) for each in maps)
    maps = [
        Attention(each.weights.detach().float().cpu()[:MOST, :MOST], each.target[:MOST], each.source[:MOST])
        for each in maps
    ]
    strongest = max(float(each.weights.max()) for each in maps)  # of a long source far below 1
    key = f"rows: the translation; columns: the source; white: 0, dark: {strongest:.2f}"
    lines = [note, key if longest <= MOST else f"{key}; the first {MOST} tokens of each"]
    heights = [CELL * len(each.target) + LABELS for each in maps]
    needed = [CELL * max(len(each.source) for each in maps) + LABELS, EM * max(map(width, lines)) + 0.3]
    figure = new_figure(max(needed), sum(heights) + 0.5)
    figure.suptitle("\n".join(lines), x=0.1 / max(needed), ha="left", fontsize=POINTS)
    grid = figure.subplots(len(maps), 1, squeeze=False, gridspec_kw={"height_ratios": heights})
    for axes, each in zip(grid[:, 0], maps, strict=True):
        axes.imshow(each.weights.float().numpy(), cmap="Blues", vmin=0, vmax=strongest)
        axes.set_anchor("W")
        axes.set_xticks(range(len(each.source)), map(_shown, each.source), rotation=90, parse_math=False)
        axes.set_yticks(range(len(each.target)), map(_shown, each.target), parse_math=False)
        axes.tick_params(length=0, labeltop=True, labelbottom=False)
    return figure


def _shown(token: str) -> str:
    return cut(legible(token), MAX_CHARS)
