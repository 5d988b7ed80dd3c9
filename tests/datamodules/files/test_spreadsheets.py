"""Excel's workbooks are read as the CSV of their only sheet, by whatever reads delimited files."""

import csv
import sys
import zipfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from openpyxl import Workbook, load_workbook
from openpyxl.chart import BarChart

from datamodules.base import DataModule
from datamodules.files.spreadsheets import csv_of
from datamodules.series import Series
from datamodules.tabular import TabularClassification
from datamodules.text import TextClassification
from datamodules.translation import Translation

Cells = list[list[Any]]
BEGIN = datetime(2021, 1, 1)


def workbook(file: Path, rows: Cells, title: str = "", others: dict[str, Cells] | None = None) -> str:
    book = Workbook()
    sheet = book.active
    for row in [[title]] * bool(title) + rows:
        sheet.append(row)
    for name, further in (others or {}).items():
        other = book.create_sheet(name)
        for row in further:
            other.append(row)
    book.save(file)
    return str(file)


def as_csv(file: Path, rows: Cells) -> str:
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["" if cell is None else cell for cell in row] for row in rows])
    return str(file)


def table() -> Cells:
    rows: Cells = [["编号", "a", "b", "day", "city", "kind"]]
    for index in range(120):
        day = (BEGIN + timedelta(days=index)).date()
        city = ["Bern", "北京", None][index % 3]
        rows.append([index + 1, index % 7 / 4, index % 5, day, city, "yes" if index % 7 > 3 else "no"])
    return rows


def learned(data: DataModule) -> Any:
    data.setup()
    return data.state_dict(), data.examples(data.splits.train)[torch.arange(20)]


@pytest.mark.parametrize("title", ["", "Sales of 2021"])
def test_a_table_is_read_as_from_csv(title: str, tmp_path: Path) -> None:
    book = workbook(tmp_path / "t.xlsx", table(), title, {"empty": []})
    state, (inputs, target) = learned(TabularClassification(book))
    of_csv, (inputs_of_csv, target_of_csv) = learned(TabularClassification(as_csv(tmp_path / "t.csv", table())))
    assert state == of_csv
    assert torch.equal(inputs, inputs_of_csv)
    assert torch.equal(target, target_of_csv)
    assert {column["name"]: column["kind"] for column in state["columns"]}["day"] == "number"


def test_texts_pairs_and_series_are_read_too(tmp_path: Path) -> None:
    words: Cells = [
        ["review", "label"],
        *([f"good, {index}" if index % 2 else f"坏 {index}", index % 2] for index in range(150)),
    ]
    data = TextClassification(workbook(tmp_path / "texts.xlsx", words))
    data.setup()
    assert list(data.texts)[:2] == ["坏 0", "good, 1"]
    pairs: Cells = [["en", "zh"], *([f"the {index}", f"第{index}个"] for index in range(150))]
    translation = Translation(workbook(tmp_path / "pairs.xlsx", pairs))
    translation.setup()
    assert translation.pairs[0] == ("the 0", "第0个")
    rows: Cells = [["time", "load"], *([BEGIN + timedelta(hours=hour), hour % 24] for hour in range(900))]
    series = Series(workbook(tmp_path / "series.xlsx", rows))
    series.setup()
    assert series.values[:3, 0].tolist() == [0, 1, 2]


def test_inputs_of_a_prediction_may_be_a_workbook(tmp_path: Path) -> None:
    data = TabularClassification(workbook(tmp_path / "t.xlsx", table()))
    data.setup()
    inputs, names = data.read_input(Path(workbook(tmp_path / "new.xlsx", [row[:-1] for row in table()[:4]])))
    assert names == ["1", "2", "3"]
    assert torch.equal(inputs[torch.arange(3)], data._encode(data.table, "")[:3])


def test_cells_are_read_as_they_are_shown(tmp_path: Path) -> None:
    rows: Cells = [["Sizes", None, None], ["region", "rate", "kind"], ["north", 0.07, "a"], [None, 0.125, "b"]]
    book = load_workbook(workbook(tmp_path / "t.xlsx", rows, others={"values": [["a"], ["b"]]}))
    sheet = book.active
    for cells in ("A1:C1", "A3:A4"):
        sheet.merge_cells(cells)
    sheet["B3"].number_format, sheet["B4"].number_format = "0%", '0.0"%"'
    book["values"].sheet_state = "hidden"  # of a drop-down list
    book.create_chartsheet("chart").add_chart(BarChart())
    book.save(tmp_path / "t.xlsx")
    assert csv_of(tmp_path / "t.xlsx").decode().split() == [
        "Sizes,,", "region,rate,kind", "north,7%,a", "north,0.125,b",
    ]  # fmt: skip


def changed(file: Path, old: bytes, new: bytes) -> None:
    """Change the sheets of a workbook in their file."""
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content.replace(old, new))


def test_cells_outside_of_the_stated_dimension_are_read(tmp_path: Path) -> None:
    workbook(tmp_path / "t.xlsx", [["a", "b"], [1, 2], [3, 4]])
    changed(tmp_path / "t.xlsx", b'<dimension ref="A1:B3"', b'<dimension ref="A1:A2"')
    assert csv_of(tmp_path / "t.xlsx").decode().split() == ["a,b", "1,2", "3,4"]


def test_formulas_without_a_value_are_refused(tmp_path: Path, refused: Any) -> None:
    file = tmp_path / "t.xlsx"
    workbook(file, [["a", "b"], [1, "=A2*2"], [3, "=A3*2"]])
    with refused(f"{file}: holds no values of 2 formulas, such as B2; open it in Excel"):
        csv_of(file)
    changed(file, b"<v></v>", b"<v>5</v>")
    assert csv_of(file).decode().split() == ["a,b", "1,5", "3,5"]
    workbook(file, [["a", "b"], [1, '=IF(A2,"","x")']])
    changed(file, b'<c r="B2">', b'<c r="B2" t="str">')
    assert csv_of(file).decode().split() == ["a,b", "1,"]


def test_what_cannot_be_decided_is_asked(tmp_path: Path, refused: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    two = workbook(tmp_path / "two.xlsx", table(), others={"notes": [["see", "below"]]})
    with refused(two, "2 sheets with content, Sheet, notes", "CSV"):
        learned(TabularClassification(two))
    empty = workbook(tmp_path / "empty.xlsx", [])
    with refused(empty, "no content"):
        learned(TabularClassification(empty))
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    new = workbook(tmp_path / "new.xlsx", table())
    with refused(new, "is an Excel workbook", 'pip install -e ".[excel]"'):
        learned(TabularClassification(new))
