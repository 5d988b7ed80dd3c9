"""Running text as lines of a width, and long text shortened around what matters."""

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

EAST_ASIAN = "\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"  # written without spaces
CLOSING = "，。！？；：、）」』】》〉”’…％"  # begins no line
_EAST_ASIAN = re.compile(f"[{EAST_ASIAN}]")
_PIECE = re.compile(rf"\s+|[{EAST_ASIAN}][{CLOSING}]*|[^\s{EAST_ASIAN}]+")
_WORD = re.compile(rf"[{EAST_ASIAN}]|[^\W_{EAST_ASIAN}]+|[^\s{EAST_ASIAN}]")
GAP = " … "
MARGIN = 20  # characters at least around a span


def is_east_asian(char: str) -> bool:
    """Whether the character belongs to a script that is written without spaces."""
    return _EAST_ASIAN.match(char) is not None


class Span(NamedTuple):
    """A part of a text that is marked.

    Args:
        start: its first character.
        end: the character after its last.
        colour: of its background; `none` of one that is not drawn.
        weight: from 0 to 1, how strong the background is.
        label: a small text after it.
        bold: whether it is in bold type.
    """

    start: int
    end: int
    colour: str
    weight: float = 1.0
    label: str = ""
    bold: bool = False


def words_of(text: str) -> list[tuple[int, int]]:
    """Where the words of a text begin and end; an East Asian character is one."""
    return [match.span() for match in _WORD.finditer(text)]


def wrapped(text: str, advances: Sequence[float], width: float) -> list[tuple[int, int]]:
    """The lines of a text, each as its first character and the one after its last; blanks at their ends are left out.

    A line ends at a space or around an East Asian character; within a word that is wider than a line, anywhere.

    Args:
        text: N characters.
        advances: N, how wide each of them is.
        width: of a line.
    """
    lines, begin, used = [], 0, 0.0
    total = [0.0, *accumulate(advances)]
    for piece in _PIECE.finditer(text):
        first, last = piece.span()
        size = total[last] - total[first]
        parts = [(index, advances[index]) for index in range(first, last)] if size > width else [(first, size)]
        for start, advance in parts:
            if used and used + advance > width and not piece.group().isspace():
                lines.append((begin, start))
                begin, used = start, 0.0
            used += advance
    lines.append((begin, len(text)))
    return [(start, start + len(text[start:end].rstrip())) for start, end in lines]


def shortened(text: str, spans: Sequence[Span], most: int) -> tuple[str, list[Span]]:
    """A text with at most so many of its own characters, those around its strongest spans; and the spans in it.

    Args:
        text: of any length.
        spans: in it.
        most: characters, more than 0.
    """
    if len(text) <= most:
        return text, list(spans)
    shown: list[str] = []
    place: dict[int, int] = {}  # of each character that is kept
    length, previous = 0, 0
    for first, last in [*_kept(text, spans, most), (len(text), len(text))]:
        if first > previous:
            gap = GAP if previous else GAP.lstrip()
            shown.append(gap)
            length += len(gap)
        shown.append(text[first:last])
        place.update((index, length + index - first) for index in range(first, last))
        length, previous = length + last - first, last
    moved = []
    for span in spans:
        here = [place[index] for index in range(span.start, span.end) if index in place]
        if here:
            moved.append(span._replace(start=here[0], end=here[-1] + 1))
    return "".join(shown).rstrip(), moved


def _kept(text: str, spans: Sequence[Span], most: int) -> list[tuple[int, int]]:
    """The parts of a text that are kept."""
    strongest = sorted(spans, key=lambda span: (-span.weight, span.start, span.end))
    margin = max(MARGIN, (most - sum(span.end - span.start for span in spans)) // (2 * max(len(spans), 1)))
    kept: set[int] = set()
    for span in strongest:
        around = range(max(span.start - margin, 0), min(span.end + margin, len(text)))
        kept.update([index for index in around if index not in kept][: most - len(kept)])
    first, end = (strongest[0].start, strongest[0].end) if spans else (0, 0)
    while len(kept) < most:  # the text's end, or another span, was near
        first, end = first - 1, end + 1
        kept.update([index for index in (first, end - 1) if 0 <= index < len(text)][: most - len(kept)])
    marked = {index for span in spans for index in range(span.start, span.end)}
    order = sorted(kept)
    edges = [index for index in order if index - 1 not in kept], [index + 1 for index in order if index + 1 not in kept]
    return [_of_whole_words(text, first, end, marked) for first, end in zip(*edges, strict=True)]


def _of_whole_words(text: str, first: int, end: int, marked: set[int]) -> tuple[int, int]:
    """A part without the rest of a word that begins before it, or goes on after it, where that is short."""
    if first:
        head = range(first, min(first + MARGIN, end))
        stop = next((index for index in head if text[index].isspace() or index in marked), first)
        first = stop if stop in marked or not text[stop].isspace() else stop + 1
    if end < len(text):
        tail = range(end - 1, max(end - MARGIN, first), -1)
        stop = next((index for index in tail if text[index].isspace() or index in marked), end)
        end = stop + 1 if stop in marked else stop
    return first, end
