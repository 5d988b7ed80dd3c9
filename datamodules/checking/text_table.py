"""Columns of text for a terminal, in which Chinese characters are two columns wide."""

import re
import unicodedata
from collections.abc import Sequence

from datamodules.files.paths import printable

CELL = re.compile(r" *\S+( \S+)* {2,}(?=\S)")  # of a table, the first of its line
# What a line is broken between: words with the blanks after them, and letters of writing without blanks.
WORDS = re.compile(r"[\u3000-\u9fff\uf900-\ufaff\uff00-\uffef] *|[^ \u3000-\u9fff\uf900-\ufaff\uff00-\uffef]+ *| +")


def width_of(text: str) -> int:
    """The columns of a terminal that a text takes."""
    return len(text) if text.isascii() else sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text)


def rounded(value: float, digits: int = 4, zeros: bool = False) -> str:
    """A number with so many digits that count; a large one with all before the point, up to a thousand millions.

    Args:
        value: the number.
        digits: how many.
        zeros: whether to fill up with them.
    """
    if 10**digits <= abs(value) < 1e9:
        return f"{value:.0f}"
    return f"{value:#.{digits}g}".rstrip(".") if zeros else f"{value:.{digits}g}"


def padded(text: str, width: int, right: bool = False) -> str:
    """A text with blanks up to a width, after it or before it."""
    blanks = " " * (width - width_of(text))
    return blanks + text if right else text + blanks


def shortened(text: str, width: int) -> str:
    """A text on one line that can be shown, cut off with … beyond a width."""
    text = printable(" ".join(text[: 4 * width].split()))
    if width_of(text) <= width:
        return text
    while width_of(text) > width - 1:
        text = text[:-1]
    return text.rstrip() + "…"


def table_lines(rows: Sequence[Sequence[str]], right: bool = True) -> list[str]:
    """A line for each row, its cells in columns; all but the first are aligned to the right, or none."""
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            padded(cell, width, right and index > 0)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def wrapped(text: str, width: int) -> str:
    """A text whose lines are broken between words where they are too long; a cell of a table goes on below itself."""
    return "\n".join("\n".join(_broken(line, width)) for line in text.split("\n"))


def _broken(line: str, width: int) -> list[str]:
    if width_of(line) <= width:
        return [line]
    cell = CELL.match(line)
    column = width_of(cell[0]) if cell else 0
    blanks = len(line) - len(line.lstrip())
    indent = " " * (column if 0 < column <= width // 2 else min(blanks + 2, width // 2))
    lines, start = [line[:blanks]], True
    for word in WORDS.findall(line[blanks:]):
        if width_of(lines[-1] + word.rstrip()) <= width or (start and width_of(word) > width):
            lines[-1] += word
        else:
            lines.append(indent + word.lstrip())
        start = False
    return [line.rstrip() for line in lines]
