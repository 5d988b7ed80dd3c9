"""Named entities in a table with a sentence in each row: its words in one cell, and their tags in another."""

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from datamodules.errors import DataError
from datamodules.files.entity_layout import WORD_NAMES, Layout, cells_of, delimiter_of
from datamodules.files.entity_tags import canonical

SAMPLE = 200  # rows that show which column is what


def infer_rows(lines: Iterable[str], path: Path, learned: Layout | None) -> tuple[Layout, list[str]] | None:
    """Which column has the words of a sentence and which their tags; None if the file is no such table.

    Args:
        lines: lines of the file.
        path: the file, for its ending.
        learned: what training found, for prediction, where there may be no tags.
    """
    sample = list(islice((line for line in lines if line.strip()), SAMPLE))
    delimiter = delimiter_of(Counter(sample), path)
    rows = [cells_of(line, delimiter) for line in sample]
    if not delimiter or len({len(row) for row in rows}) > 1:
        return None
    first = [cell.lower() for cell in rows[0]]
    if learned is not None and learned.scheme == "rows" and learned.names and learned.names[learned.word] in first:
        word = first.index(learned.names[learned.word])
        return Layout(len(first), word, None, "rows", delimiter, names=first, spaces=learned.spaces), []
    below = [[listed_words(cell) for cell in row] for row in rows[1:] or rows]
    tags = [column for column in range(len(first)) if _are_tags([row[column] for row in below])]
    if not tags:
        return None
    tag = tags[0]
    words = [column for column in range(len(first)) if column not in tags and _are_alike(below, column, tag)]
    if not words:
        return None
    word = next((column for column in words if first[column] in (*WORD_NAMES, "sentence")), words[0])
    names = [] if _are_tags([listed_words(rows[0][tag])], 1) else first
    spaces = any(len(each) > 1 for row in below for each in row[word])
    notes = [f"each line is a sentence: words in column {word + 1}, tags in column {tag + 1}"]
    return Layout(len(first), word, tag, "rows", delimiter, names=names, spaces=spaces), notes


def read_rows_of_words(
    lines: Iterable[str], path: Path, layout: Layout, tagged: bool
) -> Iterator[tuple[list[str], list[str], list[str]]]:
    """The words and tags of each row, as `read_words` returns them.

    Raises:
        DataError: a row has no such columns, or not as many tags as words, or one of no known scheme.
    """
    has_header = bool(layout.names)
    for line_number, line in enumerate(lines, start=1):
        row = cells_of(line, layout.delimiter)
        if not row or has_header:
            has_header = has_header and not row
            continue
        if len(row) != layout.width:
            raise DataError(f"{path}:{line_number}: expected {layout.width} columns, found {len(row)}")
        words, tags = listed_words(row[layout.word]), ["O"]
        if tagged and layout.tag is not None:
            cells = listed_words(row[layout.tag])
            if len(cells) != len(words):
                raise DataError(f"{path}:{line_number}: {len(words)} words, but {len(cells)} tags")
            unknown = next((cell for cell in cells if canonical(cell, "prefix") is None), None)
            if unknown is not None:
                raise DataError(
                    f"{path}:{line_number}: a tag is {unknown}; expected O, or a letter and a type: B-person"
                )
            tags = [canonical(cell, "prefix") or "O" for cell in cells]
        yield words, tags if len(tags) == len(words) else tags * len(words), []


def listed_words(cell: str) -> list[str]:
    """The words in a cell: `['Anna', 'lives']`, or `Anna lives`."""
    if cell.startswith("["):
        try:
            words = ast.literal_eval(cell)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return cell.split()
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return words
    return cell.split()


def _are_tags(cells: Sequence[Sequence[str]], least: int = 2) -> bool:
    longest = max(map(len, cells), default=0)
    return longest >= least and all(row and all(canonical(cell, "prefix") for cell in row) for row in cells)


def _are_alike(rows: Sequence[Sequence[Sequence[str]]], column: int, tag: int) -> bool:
    return all(len(row[column]) == len(row[tag]) for row in rows)
