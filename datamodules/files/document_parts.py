"""Documents as parts of their texts, one after the other: of any size in little memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

PIECE = 1 << 15  # characters that are tokenized together


class Piece(NamedTuple):
    """A part of a document.

    Args:
        text: a part of its text.
        ends: whether it is the last one.
    """

    text: str
    ends: bool


def pieces_of(parts: Iterable[Piece], size: int = PIECE) -> Iterator[Piece]:
    """The parts of documents in pieces that hardly change their tokens, whatever the parts are.

    A document that is no longer than a piece is one; a longer one ends a piece with a line, before a space, or else
    anywhere.

    Args:
        parts: of documents, of any length.
        size: maximum number of characters of a piece.
    """
    held = ""
    for text, ends in parts:
        held, start = held + text if held else text, 0
        while len(held) - start > size:
            cut = _cut(held, start, start + size)
            yield Piece(held[start:cut], False)
            start = cut
        held = held[start:] if start else held
        if ends:
            yield Piece(held, True)
            held = ""


def _cut(text: str, start: int, end: int) -> int:
    """Where a piece ends: tokenizers part words where a line begins with a word, or a word with its space."""
    least = (start + end) // 2
    place = end
    while (place := text.rfind("\n", least, place)) >= 0:
        if not text[place + 1].isspace():
            return place + 1
    place = end
    while (place := text.rfind(" ", least, place)) >= 0:
        if not text[place - 1].isspace() and not text[place + 1].isspace():
            return place
    return end


def not_blank(parts: Iterable[Piece], told: Callable[[], None]) -> Iterator[Piece]:
    """The parts of the documents that have more than spaces.

    Args:
        parts: of all documents.
        told: called for each document that is left out.
    """
    blank = ""
    begun = False
    for text, ends in parts:
        if begun or text.strip():
            yield Piece(blank + text, ends)
            blank, begun = "", not ends
        elif ends:
            told()
            blank = ""
        else:
            blank += text


def cut_at(parts: Iterable[Piece], places: Sequence[tuple[int, int]]) -> Iterator[Piece]:
    """The parts of documents of which some are cut, each into several documents.

    Args:
        parts: of documents, of any length.
        places: where: the index of the document, and how many bytes of its text are before; ascending. A character is
            not cut, but goes to what follows.
    """
    left, document, done = list(places), 0, 0
    for text, ends in parts:
        size = len(text.encode())
        while left and left[0][0] == document and left[0][1] < done + size:
            head = text.encode()[: left.pop(0)[1] - done].decode("utf-8", "ignore")
            yield Piece(head, True)
            text, before = text[len(head) :], len(head.encode())
            done, size = done + before, size - before
        yield Piece(text, ends)
        document, done = (document + 1, 0) if ends else (document, done + size)
