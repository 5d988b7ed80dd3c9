"""What stands above the rows of a delimited file: comments, titles, names."""

from pathlib import Path

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
