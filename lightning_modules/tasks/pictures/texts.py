"""A picture of texts in which parts are marked: by colour, by the strength of it, by small labels and bold type."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from lightning_modules.tasks.pictures.figure import GREEN, GREY, RED, new_figure
from lightning_modules.tasks.pictures.fonts import LATIN, has_bold, legible, width
from lightning_modules.tasks.pictures.images import cut
from lightning_modules.tasks.pictures.wrapping import Span, shortened, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 9  # size of the type
EM = POINTS / 72  # inches
SMALL = 0.72  # size of a label, in ems
LINE, BLOCK = 1.75, 0.7  # ems, of a line and between two texts
WIDTH, MARGIN = 8.0, 0.12  # inches, of the figure and around what is in it
MAX_HEIGHT = 16.0  # inches, beyond which texts are left out
MAX_LINES = 4  # of a text, about
MAX_CAPTION_LINES = 2
MAX_LABEL = 24  # characters of a label, of a side and of a name in a legend
STRONGEST = 0.5  # opacity of a background
DARK = "#333333"
ALL_RIGHT = "no mistake; right predictions instead"  # what a page of mistakes says without any


class MarkedText(NamedTuple):
    """A text, and what is marked in it.

    Args:
        text: of any length and in any language.
        spans: what is marked; they may overlap.
        caption: above it; a text without one belongs to the one above.
        correct: whether the caption begins with a mark for right or for wrong.
        side: a word on its left.
    """

    text: str
    spans: Sequence[Span] = ()
    caption: str = ""
    correct: bool | None = None
    side: str = ""


def legend_of(colours: Mapping[str, str]) -> MarkedText:
    """A line that says what each colour stands for."""
    text, spans = "", []
    for name, colour in colours.items():
        start = len(text)
        text += f" {cut(name, MAX_LABEL)} "
        spans.append(Span(start, len(text), colour))
        text += "  "
    return MarkedText(text, spans)


def caption_of(parts: Iterable[str]) -> str:
    """A caption of several parts, without those that are empty."""
    return " · ".join(part for part in parts if part)


def marked_texts(texts: Sequence[MarkedText], legend: MarkedText | None = None, note: str = "") -> Figure:
    """A figure of texts, one below the other, as many as a page holds.

    Args:
        texts: in their order.
        legend: above them.
        note: above everything.
    """
    page = _Page(max((width(_side(text)) for text in texts), default=0.0))
    if note:
        page.paragraph(note, colour=GREY)
    if legend is not None and texts:
        page.paragraph(legend.text, legend.spans)
    for index, text in enumerate(texts):
        if text.caption and page.y > MAX_HEIGHT / EM:
            page.paragraph(f"… {sum(bool(each.caption) for each in texts[index:])} more", colour=GREY)
            break
        page.block(text)
    return page.finished()


def _side(text: MarkedText) -> str:
    return legible(cut(text.side, MAX_LABEL))


class _Page:
    """A figure that grows downwards; its unit is the em.

    Args:
        side: width of what stands on the left of the texts.
    """

    def __init__(self, side: float) -> None:
        self.figure = new_figure(WIDTH, 1)
        self.figure.set_layout_engine("none")
        self.axes: Axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.axis("off")
        self.margin = MARGIN / EM
        self.indent = self.margin + (side + 1 if side else 0)
        self.y = self.margin

    def finished(self) -> Figure:
        """The figure, as high as what is on it."""
        height = self.y + self.margin
        self.figure.set_size_inches(WIDTH, height * EM)
        self.axes.set_xlim(0, WIDTH / EM)
        self.axes.set_ylim(height, 0)
        return self.figure

    def block(self, text: MarkedText) -> None:
        """A text with its caption."""
        if text.caption:
            self.y += BLOCK
            x = self.margin
            if text.correct is not None:
                self.glyphs("✓" if text.correct else "✗", x, self.y + LINE, GREEN if text.correct else RED)
                x += 1.5
            self.paragraph(text.caption, x=x, most=MAX_CAPTION_LINES, bold=True)
        if text.side:
            self.glyphs(_side(text), self.margin, self.y + LINE, GREY)
        self.paragraph(text.text, text.spans, x=self.indent)

    def paragraph(
        self,
        text: str,
        spans: Sequence[Span] = (),
        x: float | None = None,
        most: int = MAX_LINES,
        bold: bool = False,
        colour: str = "black",
    ) -> None:
        """Lines of text, from the left edge x to the right margin."""
        x = self.margin if x is None else x
        room = WIDTH / EM - self.margin - x
        text = legible(text)
        spans = [
            span._replace(
                label=legible(cut(span.label, MAX_LABEL)), bold=span.bold and has_bold(text[slice(*span[:2])])
            )
            for span in spans
            if span.start < span.end
        ]
        text, spans = shortened(text, spans, _characters(text, 0.95 * most * room, bold))
        if bold and has_bold(text):
            spans = [*spans, Span(0, len(text), colour="none", bold=True)]
        heavy = {index for span in spans if span.bold for index in range(span.start, span.end)}
        advances = [width(char, index in heavy) for index, char in enumerate(text)]
        for span in spans:
            advances[span.end - 1] += _label_width(span)
        for start, end in wrapped(text, advances, room):
            self.y += LINE
            self.line(text, start, end, spans, x, colour)

    def line(self, text: str, start: int, end: int, spans: Sequence[Span], x: float, colour: str) -> None:
        """A line of a text, and the backgrounds behind it."""
        here = [
            span._replace(start=max(span.start, start), end=min(span.end, end), label=span.label if last else "")
            for span in spans
            for last in [span.end <= end]
            if span.start < end and span.end > start
        ]
        turns = _turns(text, start, end)
        apart = [span for span in here if span.bold or span.label or turns]
        cuts = sorted({start, end, *turns, *(edge for span in apart for edge in (span.start, span.end))})
        begins, ends = {}, {}  # where a character begins, and where the one before it has ended
        for first, last in pairwise(cuts):
            bold = any(span.bold and span.start <= first < span.end for span in here)
            self.glyphs(text[first:last], x, self.y, colour, bold)
            for edge in {first, last, *(edge for span in here for edge in (span.start, span.end))}:
                if first <= edge < last:
                    begins[edge] = x + width(text[first:edge], bold)
                if first < edge <= last:
                    ends[edge] = x + width(text[first:edge], bold)
            x = ends[last]
            for span in here:
                if span.end == last and span.label:
                    self.glyphs(span.label, x + 0.5 * SMALL, self.y, DARK, has_bold(span.label), SMALL)
                    x += _label_width(span)
                    ends[last] = x
        for span in here:
            if span.colour != "none":
                from matplotlib.patches import Rectangle

                left, right = begins[span.start], ends[span.end]
                box = Rectangle((left, self.y - 1.05), right - left, 1.4, facecolor=span.colour, linewidth=0)
                box.set_alpha(STRONGEST * min(max(span.weight, 0.0), 1.0))
                self.axes.add_artist(box)

    def glyphs(self, text: str, x: float, y: float, colour: str, bold: bool = False, size: float = 1.0) -> None:
        """A text of one style, on a base line."""
        style: dict[str, Any] = {"family": LATIN, "weight": "bold"} if bold else {}
        if text.strip():
            self.axes.text(x, y, text, fontsize=POINTS * size, color=colour, parse_math=False, **style)


def _label_width(span: Span) -> float:
    return SMALL * (width(span.label, has_bold(span.label)) + 1) if span.label else 0.0


def _characters(text: str, room: float, bold: bool) -> int:
    """How many characters of a text fit into so many ems, nearly."""
    sample = text[:: max(len(text) // 1000, 1)]
    heavy = bold and has_bold(sample)
    mean = sum(width(char, heavy) for char in sample) / max(len(sample), 1)
    return max(int(room / max(mean, 0.1)), 40)


def _turns(text: str, start: int, end: int) -> list[int]:
    """Where a line turns to the other direction of writing.

    The parts stand from left to right even if most of the line is written from right to left.
    """
    turns, before = [], False
    for index in range(start, end):
        direction = unicodedata.bidirectional(text[index])
        leftwards = direction in ("R", "AL") or (direction not in ("L", "EN") and before)
        if leftwards != before and index > start:
            turns.append(index)
        before = leftwards
    return turns
