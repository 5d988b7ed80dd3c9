"""Tables whose cells are separated by blanks: what is done to all of the text at once is what is done row by row."""

import csv
import io
import random
from pathlib import Path

import pytest

from datamodules.files import text_files
from datamodules.files.layout import BLANKS, cells_of
from datamodules.files.tables import Reading, lines_of_rows, read_table, with_tabs
from datamodules.files.text_files import num_lines


def row_by_row(text: str, skipped: int) -> bytes:
    rows = io.StringIO()
    cells = (row for line, row in cells_of(io.StringIO(text, newline=""), BLANKS) if line > skipped)
    csv.writer(rows, delimiter="\t", lineterminator="\n").writerows(cells)
    return rows.getvalue().encode()


@pytest.mark.parametrize("quotes", ["", '""'])
def test_blanks_become_tabs_as_they_do_row_by_row(quotes: str) -> None:
    draw = random.Random(0)
    letters = "ab1 \t\n\r \n\u3000\xa0\x0b\x0c\x1c\x85\u2028中'\x00,;" + quotes
    for _ in range(5000):
        text = "".join(draw.choice(letters) for _ in range(draw.randrange(14)))
        for skipped in range(1 if quotes else 3):
            assert with_tabs(text, skipped) == row_by_row(text, skipped), (text, skipped)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"from"  "to"\n 1 2 \n\n3\t 4', b"from\tto\n1\t2\n3\t4\n"),
        ('1 "a b"\r\n2  c\r3 d', b"1\ta b\n2\tc\n3\td\n"),
        ('1 a\n2 "b\n3 c\n', b'1\ta\n2\t"b\n3 c\n"\n'),
    ],
)
def test_a_quoted_cell_keeps_its_blanks(text: str, expected: bytes) -> None:
    assert with_tabs(text) == expected


def test_a_quote_in_a_line_that_is_left_out_opens_no_cell() -> None:
    assert with_tabs('# "edges\n1 2\n3 4\n', skipped=1) == b"1\t2\n3\t4\n"


LINES = {  # a table, and the lines of its rows
    "plain": ("x,y\n1,a\n2,b\n", [2, 3]),
    "without a last line end": ("x,y\n1,a\n2,b", [2, 3]),
    "of Windows": ("x,y\r\n1,a\r\n2,b\r\n", [2, 3]),
    "of old Macs": ("x,y\r1,a\r2,b\r", [2, 3]),
    "blank lines at its end": ("x,y\n1,a\n2,b\n\r\n\n", [2, 3]),
    "blank lines between": ("x,y\n\n1,a\n\n\n2,b\n", [3, 6]),
    "a cell of two lines": ('x,y\n1,"a\nb"\n2,"b"\n', [2, 4]),
    "its header again": ("x,y\na,b\nx,y\nc,d\n", [2, 4]),
    "quotes and commas": ('x,y\n1,"a, b"\n2,b\n', [2, 3]),
}


@pytest.mark.parametrize("block", [1, 2, 3, 1 << 22])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("name", LINES)
def test_each_row_has_its_line(
    name: str, encoding: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_files, "BLOCK", block)
    text, expected = LINES[name]
    file = tmp_path / "table.csv"
    file.write_bytes(text.replace("a", "中").replace("b", "Ċ").encode(encoding))  # Ċ holds that of a line feed
    reading = Reading("gb18030" if encoding == "gb18030" else "utf-8", True)
    assert read_table(file, reading).num_rows == len(expected)
    assert list(lines_of_rows(file, reading, len(expected))) == expected


def test_lines_are_counted_whatever_a_block_ends_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(0)
    file = tmp_path / "lines.txt"
    for _ in range(500):
        text = "a" + "".join(draw.choice(["a", "\n", "\r\n"]) for _ in range(draw.randrange(12)))
        file.write_bytes(text.encode())
        monkeypatch.setattr(text_files, "BLOCK", draw.randrange(1, 5))
        assert num_lines(file) == len(text.rstrip("\r\n").splitlines()), text
        file.write_bytes((text + "\ra").encode())
        assert num_lines(file) is None
