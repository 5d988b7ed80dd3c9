"""Which column of a file of named entities is what: words, tags, running numbers, and what ends a sentence."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import NamedTuple

from datamodules.errors import DataError
from datamodules.files.entity_tags import PREFIXED, SCHEMES, UNTYPED, are_chunks, canonical, has_tags, has_types
from datamodules.files.splits import listed

COLUMN_SUFFIXES = (".conll", ".bio", ".bmes", ".bioes", ".iob", ".iob2", ".conllu")
SAMPLE = 50_000  # lines from which the columns are inferred
WORD_NAMES = ("word", "words", "token", "tokens", "form", "char", "character", "text", "字", "词")
TAG_NAMES = ("ner_tag", "ner_tags", "ner", "tag", "tags", "label", "labels", "entity", "bio", "iob", "标签")
SENTENCE_NAMES = ("sentence #", "sentence_id", "sentence id", "sent_id", "sentence_idx", "sentence", "sent", "sid")
FULL_STOPS = frozenset((".", "!", "?", "。", "！", "？", "｡", "…", "……"))
SAMPLE_OF_TAGS = 100  # rows below the first one that show whether it is a header
MAX_WORDS = 500  # of a sentence, in a file that does not say where sentences end

NUMBERED = re.compile(r"(\d|\D+)(\d{1,4})$")  # a character and its position in a longer word
_LIKE_TAG = re.compile(r"[A-Za-z]{1,2}[-_]")
_NUMBER = re.compile(r"\d{1,18}([-.]\d+)?$")
_PART_OF_SPEECH = re.compile(r"[A-Z$.,:;`'\"()#*_-]+\d?$")
_COMMENT = re.compile(r"#\s*((begin|end) document|[\w.]+\s*=)")


class Layout(NamedTuple):
    """Which column of a file is what; prediction uses what training found.

    Args:
        width: number of columns.
        word: column of the words.
        tag: column of the tags; None if there is none, -1 if it is the last of a varying number of columns.
        scheme: `prefix` (B-person), `suffix` (person-B), `features` (NER=B-person), `brackets`, `bare` (B), `inside`
            (person), or `rows` of a sentence each.
        delimiter: what separates the columns; blanks if it is empty.
        running: column of a running number; None if there is none.
        sentence: column that differs between two sentences; None if there is none.
        restarts: column of a running number that begins anew with each sentence; None if there is none.
        names: names of the columns in a header.
        numbered: whether each word ends in its position within a longer one, as in Weibo's 李0.
        cut: whether a sentence ends at a full stop, for lack of anything else.
        blank_ends: whether a sentence ends at a blank word, for lack of an empty line.
        varies: whether lines differ in the number of columns.
        spaces: whether there are blanks between words, as some have several characters; None if it is not known.
    """

    width: int = 2
    word: int = 0
    tag: int | None = -1
    scheme: str = "prefix"
    delimiter: str = ""
    running: int | None = None
    sentence: int | None = None
    restarts: int | None = None
    names: Sequence[str] = ()
    numbered: bool = False
    cut: bool = False
    blank_ends: bool = False
    varies: bool = False
    spaces: bool | None = None


def infer_layout(
    lines: Iterable[str], path: Path, tagged: bool, learned: Layout | None = None
) -> tuple[Layout, list[str]]:
    """Which column is what, and what is unusual about it.

    Args:
        lines: lines of the file, of which the first 50,000 are read.
        path: the file, for messages.
        tagged: whether there have to be tags.
        learned: what training found, for prediction.

    Raises:
        DataError: nothing says where a sentence ends.
    """
    sample = list(islice(lines, SAMPLE))
    different = Counter(sample)
    delimiter = delimiter_of(different, path)
    cells = {line: cells_of(line, delimiter) for line in different}
    width = _width(different, cells)
    cells |= {line: [] for line, row in cells.items() if row and row[0].startswith("-DOCSTART-")}
    rows = [cells[line] for line in sample]
    data = [cells[line] for line in sample if cells[line] and not line.startswith("#")]  # where # may be a word
    data = data or [row for row in rows if row]
    notes: list[str] = []
    names = _header(data, tagged, learned)
    if names:
        notes.append(f"the first line is a header, {listed(data[0], limit=10)}")
        data = data[1:]
    if not data:
        return Layout(delimiter=delimiter, names=names), notes
    layout, found = _columns(
        Columns(data, width, delimiter), Layout(width, delimiter=delimiter, names=names), tagged, learned
    )
    layout, ends = _sentence_ends(layout, rows, data, path, tagged)
    layout = layout._replace(spaces=_has_spaces(data, layout) or (None if len(sample) == SAMPLE else False))
    return layout, notes + found + ends


def is_columns(lines: Iterable[str], layout: Layout, learned: Layout | None) -> bool:
    """Whether a file that need have no tags is one of columns, and not of a sentence on each line.

    Args:
        lines: lines of the file, of which the first 50,000 are read.
        layout: which column is what, if it is.
        learned: what training found.
    """
    if layout.names or (layout.tag is not None and layout.width > 1):
        return True
    rows = [cells_of(line, layout.delimiter) for line in islice(lines, SAMPLE)]
    words = [row for row in rows if row]
    if learned is None or any(len(row) != layout.width for row in words):
        return False
    if layout.width > 1:
        has_blanks = any(" " in row[layout.word] for row in words)
        is_table = bool(layout.delimiter) or layout.running is not None
        return layout.width == learned.width - 1 and is_table and not has_blanks
    if all(len(word) == 1 for (word,) in words):
        return len(words) > 1
    groups = "".join("x" if row else " " for row in rows).split()
    return len(words) >= 2 * len(groups) > 2 and all(word.isascii() for (word,) in words)


def delimiter_of(lines: Counter[str], path: Path) -> str:
    """What separates the columns of lines, of which each is given how often it occurs; blanks if it is empty."""
    size = sum(number for line, number in lines.items() if line.strip() and not line.startswith("#"))

    def share(sign: str) -> float:
        found = (n for line, n in lines.items() if sign in line.strip() and not line.startswith("#"))
        return sum(found) / max(size, 1)

    if share("\t") > 0.5:
        return "\t"
    if path.name.removesuffix(".gz").endswith(".csv") or share(" ") <= 0.5:
        return next((sign for sign in ",;|" if share(sign) >= 0.9), "")
    return ""


def _has_spaces(data: Sequence[Sequence[str]], layout: Layout) -> bool:
    words = {row[layout.word] for row in data if len(row) > layout.word}
    return any(len(NUMBERED.sub(r"\1", word) if layout.numbered else word) > 1 for word in words)


def _width(lines: Counter[str], cells: dict[str, list[str]]) -> int:
    """Number of columns of most lines."""
    widths = Counter[int]()
    for line, number in lines.items():
        if cells[line] and not line.startswith(("#", "-DOCSTART-")):
            widths[len(cells[line])] += number
    return max(widths, key=lambda width: (widths[width], width), default=max(map(len, cells.values()), default=0))


def _header(data: Sequence[Sequence[str]], tagged: bool, learned: Layout | None) -> list[str]:
    if not data or len(data) < 2:
        return []
    first = [cell.lower() for cell in data[0]]
    has_tag = any(cell == "O" or PREFIXED.match(cell) for cell in data[0])
    known = {*TAG_NAMES, *SENTENCE_NAMES, "pos"} & {*first}
    if {*WORD_NAMES} & {*first} and not has_tag and (known or (tagged and len(first) > 1)):
        return first
    if learned:
        return first if learned.names and first == [*learned.names][: len(first)] else []
    return first if tagged and _is_above_tags(data) else []


def _is_above_tags(data: Sequence[Sequence[str]]) -> bool:
    """Whether a cell of the first row is no tag, and all those below it are."""
    for column, cell in enumerate(data[0]):
        below = [canonical(row[column], "prefix") for row in data[1:SAMPLE_OF_TAGS] if len(row) > column]
        if len(below) > 4 and all(below) and not (canonical(cell, "prefix") or _LIKE_TAG.match(cell)):
            return True
    return False


class Columns:
    """The columns of the rows of a file.

    Args:
        rows: cells of each line; those of equal lines are one object, so that these are counted quickly.
        width: number of columns of most rows.
        delimiter: what separates the columns.
    """

    def __init__(self, rows: Sequence[Sequence[str]], width: int, delimiter: str) -> None:
        self.rows, self.width, self.size = rows, width, len(rows)
        self.counts = [Counter[str]() for _ in range(width)]
        self.last = Counter[str]()
        same, numbers = {id(row): row for row in rows}, Counter(map(id, rows))
        for key, row in same.items():
            self.last[row[-1]] += numbers[key]
            for counts, cell in zip(self.counts, row, strict=False):
                counts[cell] += numbers[key]
        longer = sum(numbers[key] for key, row in same.items() if len(row) > width)
        self.varies = longer > 0.05 * len(rows) and delimiter in ("", "\t")  # otherwise the delimiter is a word, too

    def cells(self, column: int) -> list[str]:
        """The cells of a column from top to bottom."""
        return [row[column] for row in self.rows if len(row) > column]

    def is_numeric(self, column: int) -> bool:
        """Whether all cells are whole numbers, or ranges of these."""
        return all(_NUMBER.match(cell) for cell in self.counts[column])

    def is_running(self, column: int) -> bool:
        """Whether most cells are by one larger than that above."""
        if not self.is_numeric(column):
            return False
        numbers = [int(cell) for cell in self.cells(column) if cell.isdecimal()]
        steps = [after == before + 1 for before, after in pairwise(numbers)]
        return sum(steps) * 2 >= len(steps)

    def changes(self, column: int) -> int:
        """How often a cell differs from that above; an empty one stands for that."""
        filled = (cell for cell in self.cells(column) if cell)
        return sum(before != after for before, after in pairwise(filled))

    def is_slow(self, column: int) -> bool:
        """Whether most cells are as that above, or empty: those of a sentence or of a document."""
        return self.size >= 10 and self.changes(column) * 3 < self.size

    def is_numbered(self, column: int) -> bool:
        """Whether each word is a character and its position within a longer word: 李0."""
        if not all(map(NUMBERED.match, self.counts[column])) or all(map(str.isascii, self.counts[column])):
            return False
        positions = [int(NUMBERED.match(cell)[2]) for cell in self.cells(column)]  # type: ignore[index]
        follow = sum(after in (0, before + 1) for before, after in pairwise([-1, *positions]))
        return follow >= 0.99 * len(positions)

    def looks_like_words(self, column: int) -> bool:
        """Whether the cells are other than those of parts of speech."""
        return not all(map(_PART_OF_SPEECH.match, self.counts[column]))


def _columns(columns: Columns, layout: Layout, tagged: bool, learned: Layout | None) -> tuple[Layout, list[str]]:
    """Where words and tags are."""
    tags, scheme = tag_columns(columns, strict=not tagged)
    named = _named(layout.names, TAG_NAMES)
    tag = named if named is not None else _entities_first(columns, tags)
    notes: list[str] = []
    nested = [column for column in tags if column >= 0 and not are_chunks(columns.counts[column])]
    if tagged and tag is None:
        tag = -1 if columns.varies else columns.width - 1
    elif tagged and len(nested) > 1:
        notes.append(f"columns {_numbers(nested)} have tags: only those of column {(tag or 0) + 1} are read")
    others = [column for column in range(columns.width) if column not in tags and column != tag]
    others = others or [column for column in range(columns.width) if column != tag] or [0]
    numbers = [column for column in others if columns.is_numeric(column)]
    running = next((column for column in numbers if columns.is_running(column)), None)
    if not tagged:  # of few words all may be numbers
        numbers = [column for column in numbers if columns.is_running(column) or columns.is_slow(column)]
    layout = layout._replace(tag=tag, scheme=scheme, running=running, varies=columns.varies)
    word, sentence = _named(layout.names, WORD_NAMES), _named(layout.names, SENTENCE_NAMES)
    if word is None and learned and (places := _as_learned(layout, columns, learned)):
        word, sentence = places
    word = _word_column(columns, others, numbers) if word is None else word
    numbered = columns.is_numbered(word) or bool(learned and learned.numbered)
    layout = layout._replace(word=word, numbered=numbered, sentence=sentence)
    left_out = [column for column in range(columns.width) if column not in (word, tag, columns.width + (tag or 0))]
    if tagged and columns.varies and tag == -1:
        notes.append("the number of columns varies: the first is the word, the last the tag")
    elif tagged and (left_out or word > 0):
        where = f"words are in column {word + 1}, tags in {'the last' if tag == -1 else f'column {(tag or 0) + 1}'}"
        notes.append(f"{where}; left out: {_numbers(left_out)}" if left_out else where)
    if tagged and scheme in UNTYPED:
        notes.append(UNTYPED[scheme])
    if numbered:
        notes.append("each word ends in a number, its position in a longer word, as in 李0, which is left out")
    return layout, notes


def tag_columns(columns: Columns, strict: bool = False) -> tuple[list[int], str]:
    """The columns that have tags, those of phrases last, and the scheme of these.

    Args:
        columns: columns of the file.
        strict: whether all cells of such a column are tags; otherwise most that are not O.
    """
    candidates = [*enumerate(columns.counts), *([(-1, columns.last)] if columns.varies else [])]
    if strict:
        candidates = [(column, counts) for column, counts in candidates if counts.total() == columns.size]
    for scheme in SCHEMES:
        found = [column for column, counts in candidates if has_tags(counts, scheme, strict)]
        found = [column for column in found if column >= 0] or found
        if found and (len(columns.counts) > 1 or not strict):
            return sorted(found, key=lambda column: are_chunks(columns.counts[column])), scheme
    inside = [column for column, counts in candidates if column >= 0 and has_types(counts)]
    return (inside, "inside") if len(inside) == 1 and not strict else ([], "prefix")


def _entities_first(columns: Columns, tags: Sequence[int]) -> int | None:
    """The first of several columns of tags that are not all O."""
    filled = (column for column in tags if column < 0 or columns.counts[column].keys() - {"O", "*"})
    return next(filled, next(iter(tags), None))


def _named(names: Sequence[str], usual: Sequence[str]) -> int | None:
    return next((names.index(name) for name in usual if name in names), None)


def _word_column(columns: Columns, others: Sequence[int], numbers: Sequence[int]) -> int:
    """The first column that is neither numbers nor the same on many lines, nor parts of speech if there is another."""
    words = [column for column in others if column not in numbers]
    words = words or [column for column in others if not columns.is_running(column)] or list(others)
    words = [column for column in words if len(words) == 1 or not columns.is_slow(column)] or words
    return next((column for column in words if columns.looks_like_words(column)), words[0])


def _as_learned(layout: Layout, columns: Columns, learned: Layout) -> tuple[int, int | None] | None:
    """The columns of words and of sentences as in training, if the columns are those, with or without the tags."""
    tag = learned.width - 1 if learned.tag in (None, -1) else learned.tag
    removed = learned.width if layout.width == learned.width else tag
    word, running = learned.word - (learned.word > removed), learned.running
    if layout.width not in (learned.width, learned.width - 1) or word == layout.tag:
        return None
    if running is None and layout.running == 0 == word and columns.cells(0)[0] in ("0", "1"):
        return None
    if running is not None and not columns.is_running(running - (running > removed)):
        return None
    return word, None if learned.sentence is None else learned.sentence - (learned.sentence > removed)


def _numbers(columns: Iterable[int]) -> str:
    return listed([str(column + 1) for column in columns], limit=10)


def _sentence_ends(
    layout: Layout, rows: Sequence[list[str]], data: Sequence[list[str]], path: Path, tagged: bool
) -> tuple[Layout, list[str]]:
    """What ends a sentence: an empty line, another sentence's number, a running number's 1, or else a full stop."""
    filled = "".join("x" if row else " " for row in rows).strip()
    if " " in filled or layout.sentence is not None:
        return layout, []
    columns = Columns(data, layout.width, layout.delimiter)
    others = [column for column in range(columns.width) if column not in (layout.word, layout.tag)]
    slow = [column for column in others if columns.is_slow(column) and columns.changes(column)]
    if slow:
        sentence = max(slow, key=columns.changes)
        return layout._replace(sentence=sentence), [f"a sentence ends where column {sentence + 1} changes"]
    for column in (column for column in others if columns.is_running(column)):
        numbers = list(map(integer, columns.cells(column)))
        if any(after < before for before, after in pairwise(numbers)):
            return layout._replace(restarts=column), [f"a sentence ends where column {column + 1} begins anew"]
    if any(not row[layout.word] for row in data if len(row) > layout.word):
        return layout._replace(blank_ends=True), []
    stops = sum(row[layout.word] in FULL_STOPS for row in data[:-1] if len(row) > layout.word)
    if not stops and tagged and len(data) > MAX_WORDS:
        raise DataError(
            f"{path}: no line is empty and no word is a full stop: its {len(data)} words would be one sentence; "
            f"expected an empty line after each sentence"
        )
    return layout._replace(cut=stops > 0), [f"no line is empty: cut after {stops} full stops"] if stops else []


def cells_of(line: str, delimiter: str) -> list[str]:
    """The cells of a line; none if it is empty."""
    stripped = line.strip()
    if not stripped:
        return []
    if "\t" in stripped or (delimiter == "\t" and "\t" in line):
        return [cell.strip() for cell in line.split("\t")]
    if delimiter and delimiter != "\t":
        if not stripped.strip(delimiter + " "):
            return []
        return [cell.strip() for cell in _separated(stripped, delimiter)]
    if not line.isascii():  # a word may be another blank than those between the columns
        cells = [cell.strip() for cell in line.strip(" \t\r\n").split(" ") if cell]
        if len(cells) > 1:
            return cells
    return stripped.split()


def _separated(line: str, delimiter: str) -> list[str]:
    if '"' in line:
        try:
            (cells,) = csv.reader([line], delimiter=delimiter, strict=True)
        except csv.Error:  # a quote that is a word
            return line.split(delimiter)
        return cells
    return line.split(delimiter)


def is_comment(line: str, row: Sequence[str], width: int, tag: int | None = None, scheme: str = "") -> bool:
    """Whether a line that begins with # is none of the file's words."""
    if not line.startswith("#"):
        return False
    if len(row) != width or tag is None:
        return len(row) != width or bool(_COMMENT.match(line))
    return canonical(row[tag], scheme) is None


def integer(cell: str) -> int:
    """The number in a cell, the first of a range; -1 if there is none."""
    return int(re.split("[-.]", cell)[0]) if _NUMBER.match(cell) else -1
