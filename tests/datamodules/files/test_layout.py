"""What stands above the rows of a delimited file: comments, titles, names."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.files.layout import layout_of
from datamodules.files.tables import Reading, read_table

PATH = Path("t.csv")
ROWS = "1,2,3\n4,5,6\n7,8,9\n"


@pytest.mark.parametrize(
    ("above", "title"),
    [
        ("# a,b,c\n", ""),  # as numpy writes it
        ("#a,b,c\n", ""),
        ("% a, b, c\n", ""),
        ("# made by a tool, in 2021\n\na,b,c\n", "made by a tool, in 2021"),
        ("# one\n# two\n# a,b,c\n", "one; two"),
        ("\ufeff# one\na,b,c\n", "one"),
        ("# measured, in Bonn, by me\na,b,c\n", "measured, in Bonn, by me"),
    ],
)
def test_comments_above_the_rows_are_left_out_and_one_may_be_the_header(above: str, title: str) -> None:
    layout = layout_of(above + ROWS, PATH)
    assert (layout.names, layout.header, layout.title) == (["a", "b", "c"], True, title)
    assert layout.skipped == above.count("\n")
    assert layout_of("# one\n" + ROWS, PATH).skipped == 1


@pytest.mark.parametrize(
    "rows",
    [
        "#love it,1\ngreat film,0\nbad day,1\nso so,0\n",
        "#fff,1\nred,2\n#aaa,3\n",
        "#1,2\n#2,3\n#3,4\n",
    ],
)
def test_rows_that_begin_with_a_sign_are_rows(rows: str) -> None:
    layout = layout_of(rows, PATH)
    assert (layout.skipped, layout.header, layout.title) == (0, False, "")


@pytest.mark.parametrize(
    ("title", "header", "named"),
    [
        ("Report,2021,", "a,b,c", ["b"]),
        ("In,Bonn,\nBy,me,", "a,b,c", ["c"]),
        ("My reviews,", "text,label", []),
        ("Kunden,", "Satz,Note", []),
    ],
)
def test_a_title_stands_above_names_that_are_expected_or_usual(title: str, header: str, named: list[str]) -> None:
    rows = "".join(f"{header.count(',') * '4,'}{row % 2}\n" for row in range(9))
    layout = layout_of(f"{title}\n{header}\n{rows}", PATH, named=named)
    assert (layout.names, layout.skipped) == (header.split(","), title.count("\n") + 2)
    assert layout.title == "; ".join(cell for cell in title.replace("\n", ",").split(",") if cell)


@pytest.mark.parametrize(("header", "second"), [("a,b,c", "cm,kg,"), ("Measured, in Bonn, by me", "a,b,c")])
def test_two_headers_are_refused(header: str, second: str, refused: Any) -> None:
    rows = "1,2,x\n4,5,y\n7,8,x\n9,10,y\n"
    with refused(f"{PATH}:2: {second.strip(',').replace(',', ', ')} are above numbers, as a second header"):
        layout_of(f"{header}\n{second}\n{rows}", PATH)
    assert layout_of(f"a,b,c\na,b,c\n{rows}", PATH).names == ["a", "b", "c"]  # a copy is left out later
    assert layout_of(f"a,b,c\n?,NA,y\n{rows}", PATH).names == ["a", "b", "c"]


def test_empty_columns_on_the_left_are_left_out() -> None:
    layout = layout_of(",,a,b\n,,1,2\n,,3,4\n", PATH)
    assert [layout.names[column] for column in layout.kept] == ["a", "b"]


@pytest.mark.parametrize("delimiter", [",", " ", "\t", ";"])
def test_what_numpy_writes_is_read(delimiter: str, tmp_path: Path) -> None:
    values = np.arange(30.0).reshape(10, 3)
    np.savetxt(tmp_path / "t.txt", values, delimiter=delimiter, header=delimiter.join("abc"))
    table = read_table(tmp_path / "t.txt", Reading())
    assert table.column_names == ["a", "b", "c"]
    assert np.array_equal(np.stack([column.to_numpy() for column in table.columns], axis=1), values)


def test_lines_above_rows_of_blanks_are_told(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("% measured\n\na  b   c\n" + ROWS.replace(",", "   "))
    notes: list[str] = []
    table = read_table(tmp_path / "t.txt", Reading(note=notes.append))
    assert (table.column_names, table.num_rows) == (["a", "b", "c"], 3)
    assert len(notes) == 1
    assert "measured" in notes[0]
