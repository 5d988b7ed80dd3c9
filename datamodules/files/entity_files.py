"""Files of sentences with named entities, in any of the usual formats."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from datamodules.files.entities import Sentence, entities_of, join_words
from datamodules.files.entity_columns import read_words
from datamodules.files.entity_json import is_json, read_json
from datamodules.files.entity_layout import COLUMN_SUFFIXES, Layout, infer_layout, is_columns
from datamodules.files.entity_rows import infer_rows, read_rows_of_words
from datamodules.files.text_files import lines_of
from datamodules.storage.streaming import Repeatable


def read_columns(
    lines: Iterable[str], path: Path, tagged: bool = True, layout: Layout | None = None
) -> Iterator[Sentence]:
    """Sentences of a file with a word and its tag on each line. Tags may be in BIO, BIOES, BMES or BILOU.

    Args:
        lines: lines of the file, which are iterated several times.
        path: the file, for messages.
        tagged: whether there are tags; otherwise these are ignored.
        layout: which column is what; inferred by default.

    Raises:
        DataError: a line has no tag, or one of no known scheme.
    """
    layout = layout or infer_layout(lines, path, tagged)[0]
    read = read_rows_of_words if layout.scheme == "rows" else read_words
    spaces = layout.spaces
    if spaces is None:
        spaces = any(len(word) > 1 for words, _, _ in read(lines, path, layout, tagged) for word in words)
    for words, tags, left_out in read(lines, path, layout, tagged):
        text, spans = join_words(words, spaces)
        yield Sentence(text, spans, entities_of(tags, spans) if tagged else [], tuple(left_out))


def read_sentences(path: Path, encoding: str, tagged: bool = True, layout: Layout | None = None) -> Iterator[Sentence]:
    """The sentences of a file.

    Args:
        path: JSON, or columns; without tags also plain text with a sentence on each line. May be packed as .gz.
        encoding: encoding of the file.
        tagged: whether entities are required.
        layout: which column is what, of a file of columns.

    Raises:
        DataError: the file is empty, not text, or not in that format.
    """
    lines = Repeatable(lambda: lines_of(path, encoding, newline=None))
    if layout is not None:
        return read_columns(lines, path, tagged, layout)
    if is_json(lines, path):
        return read_json(lines, path, tagged)
    return (Sentence(line.strip()) for line in lines if line.strip())


def infer_format(
    path: Path, encoding: str, tagged: bool = True, learned: Layout | None = None
) -> tuple[Layout | None, list[str]]:
    """Which column of a file is what, and what is unusual about it; no columns if it is JSON or plain text.

    Args:
        path: the file.
        encoding: encoding of the file.
        tagged: whether there have to be tags.
        learned: what training found, for prediction.

    Raises:
        DataError: the file is empty, or not text.
    """
    lines = Repeatable(lambda: lines_of(path, encoding, newline=None))
    if is_json(lines, path):
        return None, []
    if table := infer_rows(lines, path, learned):
        return table
    layout, notes = infer_layout(lines, path, tagged, learned)
    if tagged or path.name.removesuffix(".gz").endswith(COLUMN_SUFFIXES):
        return layout, notes
    if is_columns(lines, layout, learned):
        return layout, [*notes, f"read as a word on each line, in column {layout.word + 1}"]
    return None, []
