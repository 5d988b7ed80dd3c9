"""A picture of sentences with their true and their predicted entities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lightning_modules.tasks.pictures.figure import COLOURS
from lightning_modules.tasks.pictures.texts import ALL_RIGHT, MarkedText, caption_of, legend_of, marked_texts
from lightning_modules.tasks.pictures.wrapping import Span

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AGREED = 0.35  # weight of an entity that is found; one that is missing or wrong has all of it
Entity = Mapping[str, Any]  # type, start and end


class Tagged(NamedTuple):
    """A sentence with its entities.

    Args:
        text: the sentence.
        true: its entities.
        predicted: those that were found.
        origin: where it is from.
    """

    text: str
    true: Sequence[Entity]
    predicted: Sequence[Entity]
    origin: str = ""


def tagged_texts(sentences: Sequence[Tagged], types: Sequence[str], correct: bool) -> Figure:
    """A figure of sentences, each with its true and with its predicted entities, coloured by type.

    Args:
        sentences: worst first.
        types: of entities.
        correct: whether their entities are right; otherwise all have mistakes.
    """
    colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(types)}
    texts = []
    for text, true, predicted, origin in sentences:
        missing, wrong = _without(true, predicted), _without(predicted, true)
        counts = [f"{len(missing)} missing" if missing else "", f"{len(wrong)} wrong" if wrong else ""]
        spans = [_spans(entities, apart, colours) for entities, apart in ((true, missing), (predicted, wrong))]
        both = [[*spans[0], *_unseen(spans[1])], [*spans[1], *_unseen(spans[0])]]  # so that both keep the same words
        texts.append(MarkedText(text, both[0], caption_of([*counts, origin]), correct=correct, side="true"))
        texts.append(MarkedText(text, both[1], side="predicted"))
    note = f"{len(sentences)} sentences with mistakes, worst first; strong colours: missing or wrong"
    return marked_texts(texts, legend_of(colours), ALL_RIGHT if correct else note)


def _key(entity: Entity) -> tuple[int, int, str]:
    return entity["start"], entity["end"], entity["type"]


def _without(entities: Sequence[Entity], others: Sequence[Entity]) -> set[tuple[int, int, str]]:
    return {_key(entity) for entity in entities} - {_key(entity) for entity in others}


def _spans(entities: Sequence[Entity], apart: set[tuple[int, int, str]], colours: Mapping[str, str]) -> list[Span]:
    return [
        Span(start, end, colours[name], 1.0 if (start, end, name) in apart else AGREED, label=name, bold=True)
        for start, end, name in map(_key, entities)
    ]


def _unseen(spans: Sequence[Span]) -> list[Span]:
    """Spans that are kept where a text is shortened, but not drawn."""
    return [span._replace(colour="none", label="", bold=False) for span in spans]
