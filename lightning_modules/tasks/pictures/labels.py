"""Names of a user's columns, classes and files as labels of a picture: short enough, and as they are."""

import unicodedata
from collections.abc import Iterable

MAX_WIDTH = 32  # Latin characters; a Chinese one is as wide as two


def label(text: str, most: int = MAX_WIDTH) -> str:
    """The text in one line, shortened in its middle; a dollar sign in it begins no formula.

    Args:
        text: a name.
        most: Latin characters that have room.
    """
    line = "".join(char if char.isprintable() else " " for char in text)
    if width_of(line) > most:
        line = f"{beginning(line, (most - 1) // 2)}…{beginning(line[::-1], most // 2)[::-1]}"
    return line.replace("$", r"\$")


def width_of(text: str) -> int:
    """How many Latin characters take as much room."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def beginning(text: str, most: int) -> str:
    """The longest beginning of a text that has room."""
    used = 0
    for place, char in enumerate(text):
        used += width_of(char)
        if used > most:
            return text[:place]
    return text


def labels(texts: Iterable[str], most: int = MAX_WIDTH) -> list[str]:
    """Several of them."""
    return [label(text, most) for text in texts]
