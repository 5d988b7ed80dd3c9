"""A picture of questions with the true and the predicted answer in the text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from lightning_modules.tasks.pictures.figure import BLUE, GREEN, ORANGE
from lightning_modules.tasks.pictures.texts import ALL_RIGHT, MarkedText, caption_of, legend_of, marked_texts
from lightning_modules.tasks.pictures.wrapping import Span

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NO_ANSWER = "no answer"
LEGEND = {"true answer": BLUE, "predicted answer": ORANGE, "both": GREEN}
Place = tuple[int, int]


class Asked(NamedTuple):
    """A question and its answers.

    Args:
        question: the question.
        context: the text that is read.
        answers: the true ones; none where there is no answer.
        true: the first and the last character of one of them in the text, the last one not included; -1 and -1 where
            it is not known.
        predicted: likewise of the predicted one; -1 and -1 for "no answer".
        origin: where the question is from.
    """

    question: str
    context: str
    answers: Sequence[str]
    true: Place
    predicted: Place
    origin: str = ""

    @property
    def answer(self) -> str:
        """The predicted answer."""
        return self.context[slice(*self.predicted)] if self.predicted[0] >= 0 else NO_ANSWER


def answered_texts(questions: Sequence[Asked], correct: bool) -> Figure:
    """A figure of questions, each with both answers, and the text in which they are marked.

    Args:
        questions: worst first.
        correct: whether the answers are right; otherwise all are mistaken.
    """
    texts = []
    for asked in questions:
        caption = caption_of([asked.question, asked.origin])
        true = " | ".join(asked.answers) or NO_ANSWER
        texts.append(MarkedText(true, _whole(true, BLUE), caption, correct=correct, side="true"))
        texts.append(MarkedText(asked.answer, _whole(asked.answer, ORANGE), side="predicted"))
        texts.append(MarkedText(asked.context, marks(asked), side="text"))
    return marked_texts(
        texts, legend_of(LEGEND), ALL_RIGHT if correct else f"{len(questions)} wrong answers, worst first"
    )


def _whole(answer: str, colour: str) -> list[Span]:
    return [Span(0, len(answer), colour)] if answer != NO_ANSWER else []


def marks(asked: Asked) -> list[Span]:
    """What is marked in a text: the parts of one answer alone, and the part of both."""
    true, predicted = asked.true, asked.predicted
    if true[0] < 0 and asked.answers:  # the model's window may have cut it off
        start = asked.context.find(asked.answers[0])
        true = (start, start + len(asked.answers[0])) if start >= 0 else true
    edges = sorted({edge for place in (true, predicted) if place[0] >= 0 for edge in place})
    spans = []
    for start, end in pairwise(edges):
        inside = [place[0] <= start and end <= place[1] for place in (true, predicted)]
        if any(inside):
            colour = GREEN if all(inside) else BLUE if inside[0] else ORANGE
            spans.append(Span(start, end, colour, bold=True))
    return spans
