"""Tables whose cells are separated by blanks: what is done to all of the text at once is what is done row by row."""

import csv
import io
import random

import pytest

from datamodules.files.layout import BLANKS, cells_of
from datamodules.files.tables import with_tabs


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
