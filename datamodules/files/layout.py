"""How a delimited file is laid out: its delimiter, header and index column, decided from its first rows."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datamodules.errors import DataError
from datamodules.files.splits import listed
from datamodules.files.written_numbers import MARKS, NUMBER_MARKS, is_written_number

BLANKS = " "  # runs of them
DELIMITERS = "\t;|," + BLANKS  # of two that cut every row alike, the first: decimal commas are no delimiters
SAMPLE_BYTES = 1 << 16
SAMPLE_ROWS = 1000
MAX_FIELD_SIZE = 1 << 24  # characters: a quote that is never closed consumes no more; Python's default is 131,072
MAX_NAME = 40  # characters of a column's name
MIN_ROWS = 5  # that tell a second header from a row with unusual values
MAX_TITLES = 20  # rows above a header that has an expected name
USUAL_NAMES = {  # of columns, in any case
    *("id", "index", "name", "label", "labels", "target", "class", "category", "sentiment", "text", "sentence"),
    *("review", "content", "title", "question", "comment", "date", "time", "datetime", "timestamp", "value", "split"),
    *("source", "src", "tgt", "translation", "path", "file", "filename", "image"),
    *("文本", "内容", "评论", "标题", "标签", "类别", "情感", "日期", "时间", "编号", "序号", "名称"),
}
_YEAR = re.compile(r"(19|20)\d\d$")
_COMMENT = re.compile(r"^\ufeff?\s*[#%]+")
_SEP = re.compile(r'^\ufeff?"?sep=(.)"?\s*$', re.IGNORECASE)
_UNNAMED = re.compile(r"^(Unnamed: \d+(_level_\d+)?)?$")  # as pandas reads a column without a name

Cells = Sequence[str]


@dataclass
class Layout:
    """The layout of a delimited file.

    Args:
        delimiter: a character; a blank for runs of blanks.
        names: of all columns; their indices, "0", "1", …, where they have none.
        header: whether a row has the names.
        skipped: lines before the first row of data.
        index: whether the first column, which has no name, counts the rows.
        empty: the columns without a name and without content, as far as the sample goes.
        title: lines above that are no rows, such as `|1x3 Cross validator` or `# measured in 2021`.
    """

    delimiter: str
    names: list[str]
    header: bool
    skipped: int
    index: bool = False
    empty: list[int] = field(default_factory=list)
    title: str = ""

    @property
    def kept(self) -> list[int]:
        """The indices of the columns that are read."""
        return [column for column in range(len(self.names)) if column not in self.left_out]

    @property
    def left_out(self) -> list[int]:
        """The indices of the columns that are not read."""
        return [0] * self.index + self.empty

    @property
    def form(self) -> str:
        """The layout in words."""
        delimiter = {"\t": "tabs", BLANKS: "blanks", ",": "commas", ";": "semicolons"}.get(
            self.delimiter, self.delimiter
        )
        header = f"the header in line {self.skipped}" if self.header else "no header"
        return f"columns separated by {delimiter}, {header}"

    def told(self) -> list[str]:
        """What is left out, in words."""
        index = ["the first column, which has no name and counts the rows"] * self.index
        plural = f"{len(self.empty)} empty columns without a name" if len(self.empty) > 1 else "an empty column"
        return [f"what is above the header, {self.title}"] * bool(self.title) + index + [plural] * bool(self.empty)


def layout_of(
    sample: str,
    path: Path,
    header: bool | None = None,
    delimiters: str = DELIMITERS,
    named: Iterable[object] = (),
    quoted: bool = True,
) -> Layout:
    """The layout of a file.

    Args:
        sample: its first lines, or all of it.
        path: the file, for messages.
        header: whether its first row has the names of the columns; decided from the rows by default.
        delimiters: the possible ones, the preferred first.
        named: names of columns that are expected; one of them in the first row makes it a header.
        quoted: whether cells may be quoted; otherwise a quote is a character like others.

    Raises:
        DataError: there are no rows, or two columns have one name.
    """
    first_line = sample.split("\n", 1)[0]
    stated = _SEP.match(first_line)
    if stated:
        sample = sample[len(first_line) + 1 :]
    sample, comments = _without_comments(sample, stated[1] if stated else "", delimiters, quoted)
    delimiter = stated[1] if stated else delimiter_of(sample, delimiters)
    rows = parsed(sample, delimiter, quoted)
    if not rows:
        raise DataError(f"{path}: the file is empty")
    cells = [[cell.strip() for cell in row] for _, row in rows]
    width = Counter(map(len, cells[1:])).most_common(1)[0][0] if len(cells) > 1 else len(cells[0])
    expected = {str(name) for name in named if name is not None and not str(name).lstrip("-").isdecimal()}
    above = _rows_above(cells, width, set() if header is False else expected)
    title = "; ".join([*comments, *(cell for row in cells[:above] for cell in row if cell)])
    cells, rows = cells[above:], rows[above:]
    begins = int(bool(stated)) + rows[0][0] - 1  # lines before the first row
    decided = header is not None
    if header is None:
        may_be = len(cells) > 1 or not expected  # the only row, if it has none of the names, is one of data
        header = bool(expected & set(cells[0])) or (may_be and (names_rows(cells, width) or has_header(cells)))
    if not header:
        return Layout(delimiter, [str(column) for column in range(len(cells[0]))], False, begins, title=title)
    first = ["", *cells[0]] if names_rows(cells, width) else cells[0]
    names = [str(column) if _UNNAMED.match(name) else name for column, name in enumerate(first)]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"{path}:{begins + 1}: two columns are called {twice[0]}")
    data = [row for row in cells[1:] if len(row) == len(first) and row != cells[0]]
    if not decided and _is_second_header(data):
        words = listed([cell for cell in data[0] if cell], 3)
        raise DataError(f"{path}:{rows[1][0]}: {words} are above numbers, as a second header; remove one of the two")
    columns = {column: [row[column] for row in data] for column, name in enumerate(first) if _UNNAMED.match(name)}
    index = len(first) > 1 and counts_up(columns.get(0, []))
    empty = [column for column, values in columns.items() if not any(values)]
    ends = rows[1][0] - 1 if len(rows) > 1 else len(sample.splitlines())
    return Layout(delimiter, names, True, int(bool(stated)) + ends, index, empty, title)


def _rows_above(cells: Sequence[Cells], width: int, expected: set[str]) -> int:
    """The number of rows above the header: those above expected names, or with no more than a title in a cell."""
    for row, names in enumerate(cells[:MAX_TITLES]):
        if expected and len(expected & {*names}) >= min(2, len(expected)):
            return row
    row = 0
    while len(cells) - row > 3 and sum(map(bool, cells[row])) <= 1:
        if width < 2 or (width == 2 and header_score(cells[row + 1 :]) <= 0):  # it may be a row that lacks a cell
            break
        row += 1
    return row


def _is_second_header(rows: Sequence[Cells]) -> bool:
    """Whether the first row below a header has words above all columns of numbers, such as their units."""
    if len(rows) < MIN_ROWS:
        return False
    first = [cell for cell, *below in zip(*rows, strict=True) if _are_numbers(below)]
    return len(first) > 1 and not any(cell in (*MARKS, *NUMBER_MARKS) or is_written_number(cell) for cell in first)


def _are_numbers(values: Sequence[str]) -> bool:
    present = [value for value in values if value not in MARKS]
    return len(present) > 1 and all(map(is_written_number, present))


def _without_comments(sample: str, stated: str, delimiters: str, quoted: bool) -> tuple[str, list[str]]:
    """A sample with blank lines for the comments above its rows, after `#` or `%`, and these comments.

    The last of them is the header if it has a name for each column, as numpy writes it and SNAP does, and the rows have
    no header of their own. A file that has such signs further down has no comments: its rows begin so.
    """
    lines = sample.splitlines(keepends=True)
    first = next((row for row, line in enumerate(lines) if line.strip() and not _COMMENT.match(line)), 0)
    if not first or any(_COMMENT.match(line) for line in lines[first:]):
        return sample, []
    rest = "".join(lines[first:])
    delimiter = stated or delimiter_of(rest, delimiters)
    rows = [[cell.strip() for cell in row] for _, row in parsed(rest, delimiter, quoted)]
    comments, kept, named = [], [], bool(rows) and header_score(rows) > 0
    for row, line in enumerate(lines[:first]):
        text = _COMMENT.sub("", line).strip()
        cells = [[cell.strip() for cell in cells] for _, cells in parsed(text, delimiter, quoted)]
        same_width = not named and bool(cells and rows) and len(cells[0]) == len(rows[0])
        if same_width and row == first - 1 and has_header([*cells, *rows]):
            kept.append(f"{text}\n")
        elif same_width:
            return sample, []
        else:
            kept.append("\n")
            comments += [text] if text else []
    return "".join(kept) + rest, comments


def parsed(text: str, delimiter: str, quoted: bool = True) -> list[tuple[int, list[str]]]:
    """The rows of a text that are not blank, each with the line, from 1, in which it begins."""
    rows: list[tuple[int, list[str]]] = []
    try:
        for numbered in cells_of(io.StringIO(text, newline=""), delimiter, quoted):
            rows.append(numbered)
            if len(rows) == SAMPLE_ROWS:
                break
    except csv.Error:  # a quote of the sample's last row, or a file that is not CSV: reading all of it says so
        pass
    return rows


def cells_of(
    lines: Iterable[str], delimiter: str, quoted: bool = True, path: Path | None = None
) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row that is not blank, with the line, from 1, in which it begins.

    Raises:
        csv.Error: a cell is too long, such as after a quote that is never closed.
        DataError: where the file's path is given: this, or a quote that is not doubled.
    """
    if not quoted:
        stripped = (line.rstrip("\r\n") for line in lines)
        yield from ((number, line.split(delimiter)) for number, line in enumerate(stripped, 1) if line.strip())
        return
    csv.field_size_limit(MAX_FIELD_SIZE)
    if delimiter == BLANKS:
        lines = (" ".join(line.split()) + "\n" if '"' not in line else line.strip() + "\n" for line in lines)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter == BLANKS, strict=path is not None)
    line_number = 1
    try:
        for row in reader:
            if row:
                yield line_number, row
            line_number = reader.line_num + 1
    except csv.Error as error:
        if path is None:
            raise
        message = f"{path}:{line_number}: not CSV ({error}); a quote within a quoted field is doubled"
        raise DataError(message) from None


def delimiter_of(sample: str, delimiters: str) -> str:
    """The delimiter that cuts most rows into equally many cells; of several, the first of `delimiters`."""
    best, found = 0.0, "," if "," in delimiters else delimiters[0]
    for delimiter in delimiters:
        if delimiter.strip() and delimiter not in sample and delimiter != "\t":
            continue
        rows = [row for _, row in parsed(sample, delimiter)]
        widths = Counter(map(len, rows))
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]), default=(1, 0))
        if width < 2 or (delimiter == BLANKS and not _blanks_delimit(rows, width)):
            continue
        if count / len(rows) > best:
            best, found = count / len(rows), delimiter
    return found


def _blanks_delimit(rows: Sequence[Cells], width: int) -> bool:
    """Whether a column below the first row has only numbers, and that has as many cells: words alone are a text."""
    if len(rows[0]) != width:
        return names_rows(rows, width)
    columns = zip(*(row for row in rows[1:50] if len(row) == len(rows[-1])), strict=True)
    return any(all(map(is_written_number, column)) for column in columns)


def has_header(rows: Sequence[Cells]) -> bool:
    """Whether the first row has the names of the columns: it differs from those below as names differ from values."""
    if score := header_score(rows):
        return score > 0
    words = [cell for cell in rows[0] if cell]
    return len(rows[0]) > 1 and not any(map(is_written_number, words))


def header_score(rows: Sequence[Cells]) -> int:
    """How much the first row differs from those below as names differ from values; below 0 if it does not.

    Every column speaks: for a header, a word above numbers, or above words that recur; against it, a number above
    numbers, or a word that is also below. Later copies of the first row count for nothing.
    """
    first, below = rows[0], [row for row in rows[1:] if list(row) != list(rows[0])]
    if any(len(cell) > MAX_NAME for cell in first) or not any(first):
        return -1
    columns = [[row[column] for row in below if column < len(row)] for column in range(len(first))]
    years = [_is_year_above_others(cell, values) for cell, values in zip(first, columns, strict=True)]
    score = 2 * sum(years) if sum(years) > 1 else 0
    others = (pair for pair, year in zip(zip(first, columns, strict=True), years, strict=True) if not year)
    return score + sum(_evidence(cell, values) for cell, values in others)


def _is_year_above_others(name: str, values: Sequence[str]) -> bool:
    """Whether a cell is a year, and the numbers below it are none: of a table with a column for each year."""
    if not _YEAR.match(name):
        return False
    return all(is_written_number(value) and not _YEAR.match(value) for value in values if value)


def _evidence(name: str, values: Sequence[str]) -> int:
    """How much a column speaks for its first cell being a name, or against it."""
    if not name:
        return 0
    usual = 3 * (name.lower() in USUAL_NAMES)
    present = [value for value in values if value]
    if is_written_number(name):
        numeric = sum(map(is_written_number, present))
        return -2 if 2 * numeric >= len(present) else -1
    if not present:
        return usual
    if sum(map(is_written_number, present)) >= 0.9 * len(present):
        return 2 + usual
    if name in present:
        return -2
    return usual + (2 * len(set(present)) <= len(present))  # values that recur, of which the name is none


def names_rows(rows: Sequence[Cells], width: int) -> bool:
    """Whether a file is as R writes it: each row begins with its name, for which the header has no cell."""
    below = [row for row in rows[1:] if len(row) == width]
    if not 1 < len(rows[0]) == width - 1 or len(below) < len(rows) - 1:
        return False
    names, *columns = zip(*below, strict=True)
    return counts_up(names) or all(is_written_number(cell) for column in columns for cell in column)


def counts_up(values: Sequence[str]) -> bool:
    """Whether values count the rows, from any number."""
    try:
        numbers = [int(value) for value in values]
    except ValueError:
        return False
    return bool(numbers) and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
