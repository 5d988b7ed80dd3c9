"""Tables in JSON, in every form that programs write."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datamodules.files.tables import Reading, read_table
from datamodules.tabular import TabularClassification

Rows = list[dict[str, Any]]
ROWS: Rows = [{"a": 1.5, "色": "红", "n": 3}, {"a": 2.5, "色": "绿", "n": None}, {"a": -1.0, "色": "红", "n": 7}]


def lines(rows: Rows) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def by_columns(rows: Rows) -> dict[str, Any]:
    return {name: [row[name] for row in rows] for name in rows[0]}


FORMS: dict[str, Callable[[Rows], str | bytes]] = {
    "lines": lines,
    "a blank line": lambda rows: lines(rows[:1]) + "\n" + lines(rows[1:]) + "\n",
    "a list": json.dumps,
    "an indented list after a byte order mark": lambda rows: b"\xef\xbb\xbf\n" + json.dumps(rows, indent=1).encode(),
    "UTF-16": lambda rows: json.dumps(rows).encode("utf-16"),
    "columns": lambda rows: json.dumps(by_columns(rows)),
    "pandas": lambda rows: json.dumps(
        {name: {str(3 * row): value for row, value in enumerate(column)} for name, column in by_columns(rows).items()}
    ),
    "pandas, index": lambda rows: json.dumps({str(number): row for number, row in enumerate(rows)}),
    "pandas, split": lambda rows: json.dumps({"columns": [*rows[0]], "data": [[*row.values()] for row in rows]}),
    "under a key": lambda rows: json.dumps({"status": "ok", "rows": rows}),
    "a key that is missing from the first row": lambda rows: json.dumps(
        [{name: value for name, value in row.items() if value is not None} for row in rows[1:] + rows[:1]]
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(form: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    content = FORMS[form](ROWS)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    rows = read_table(file, Reading()).to_pylist()
    assert rows == (ROWS[1:] + ROWS[:1] if "missing" in form else ROWS)


@pytest.mark.parametrize("write", [lines, json.dumps])
def test_values(write: Callable[[Rows], str], tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    values: Rows = [
        {"mixed": "15", "comma": "1,5", "large": 2**70, "size": {"w": 1, "h": {"in": 2}}},
        {"mixed": 2, "comma": "0,25", "large": 1, "size": {"w": 3, "h": {"in": 4}}},
    ]
    file.write_text(write(values))
    assert read_table(file, Reading()).to_pylist() == [
        {"mixed": 15, "comma": 1.5, "large": 2.0**70, "size.w": 1, "size.h.in": 2},
        {"mixed": 2, "comma": 0.25, "large": 1, "size.w": 3, "size.h.in": 4},
    ]


def test_encodings(tmp_path: Path, refused: Any) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(lines(ROWS * 20).encode("gb18030"))
    with refused(f"{file}: byte 18 (0xba) is not utf-8 text; it looks like gb18030", "--data.encoding"):
        read_table(file, Reading())
    assert read_table(file, Reading("gb18030")).to_pylist() == ROWS * 20


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("[]", "has no rows; expected an object a row"),
        ("{}", "has no rows; expected an object a row"),
        (json.dumps([*ROWS, None]), "row 4 is null; expected an object a row"),
        (json.dumps([[1, 2], [3, 4]]), "row 1 is [1, 2]; expected an object a row"),
        ("[1, 2]", "row 1 is 1; expected an object a row"),
        ('[{"a": 1},\n{"a": 2},]', "rows.json:2: not JSON ("),
        ('{"a": 1}\n{"a": }', "rows.json:2: not JSON (Expecting value, column 7)"),
        ('{"a": 1, "a": 2}\n{"a": 1, "a": 2}', "a row has two values of one name"),
        ('{"columns": ["a", "b"], "data": [[1, 2], [3]]}', "expected a list of 2 values, of a, b, found [3]"),
        ('{"x": {"a": 1, "b": 2}, "y": {"a": 3, "b": 4}}', "has x, y, each with a, b, which may be rows or columns"),
        ('[{"a": 1}, {"a": [1]}]', "column a holds objects or lists beside other values"),
    ],
)
def test_what_is_no_table_is_named(content: str, error: str, tmp_path: Path, refused: Any) -> None:
    file = tmp_path / "rows.json"
    file.write_text(content)
    with refused(error):
        read_table(file, Reading())


@pytest.mark.parametrize(("indent", "origin"), [(None, "t.json, row 3"), (1, "t.json, row 3")])
def test_a_row_of_several_lines_has_no_line(indent: int | None, origin: str, tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    file.write_text(json.dumps([{"a": row, "kind": "xy"[row % 2]} for row in range(60)], indent=indent))
    data = TabularClassification(str(file), batch_size=8)
    data.setup()
    assert data.origin(2) == origin
