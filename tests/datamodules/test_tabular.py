import gzip
import json
import random
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import torch
from torch import Tensor

from datamodules.files.tables import Reading, read_table
from datamodules.tabular import Tabular, TabularClassification, TabularRegression
from tests.helpers.archives import zipped

NAMES = ["height", "colour", "weight", "label"]
Row = list[Any]


def rows(number: int = 40) -> list[Row]:
    """Numbers, categories, numbers of which one in eight is missing, and one of two classes."""
    draw = random.Random(0)
    return [
        [
            round(draw.gauss(170, 10), 3),
            draw.choice(["red", "green", "蓝"]),
            None if row % 8 == 3 else draw.randint(1, 100),
            "是" if row % 2 else "否",
        ]
        for row in range(number)
    ]


def text(table: list[Row], names: list[str] | None = NAMES, delimiter: str = ",") -> str:
    lines = ([names] if names else []) + [["" if cell is None else str(cell) for cell in row] for row in table]
    return "".join(delimiter.join(line) + "\n" for line in lines)


def write(file: Path, table: list[Row], names: list[str] | None = NAMES, delimiter: str = ",") -> Path:
    file.write_text(text(table, names, delimiter), encoding="utf-8")
    return file


def ready(path: Path, cls: type[Tabular] = TabularClassification, **options: Any) -> Any:
    data = cls(str(path), **{"batch_size": 1, **options})
    data.setup()
    return data


def everything(data: Any) -> tuple[Tensor, Tensor]:
    batch: tuple[Tensor, Tensor] = data.examples(torch.arange(len(data.table)))[torch.arange(len(data.table))]
    return batch


@pytest.fixture
def reference(tmp_path: Path) -> TabularClassification:
    """The rows as plain CSV."""
    return ready(write(tmp_path / "reference.csv", rows()))


def column(table: list[Row], number: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([np.nan if row[number] is None else row[number] for row in table])


def test_numbers_are_scaled_missing_ones_marked_and_categories_one_hot(reference: TabularClassification) -> None:
    x, y = everything(reference)
    train = reference.splits.train.numpy()
    height, weight = column(rows(), 0), column(rows(), 2)
    missing = np.isnan(weight)
    scaled = (weight - np.nanmean(weight[train])) / np.nanstd(weight[train])
    colours = [row[1] for row in rows()]
    expected = np.stack(
        [
            (height - height[train].mean()) / height[train].std(),
            *([colour == name for colour in colours] for name in ("green", "red", "蓝")),
            np.where(missing, 0, scaled),
            missing,
        ],
        axis=1,
    )
    assert missing[train].any()
    assert reference.feature_names == ["height", "colour=green", "colour=red", "colour=蓝", "weight", "weight missing"]
    assert reference.num_features == 6
    torch.testing.assert_close(x, torch.from_numpy(expected.astype(np.float32)))
    assert [reference.class_names[code] for code in y.tolist()] == [row[3] for row in rows()]


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("semicolons.csv", text(rows(), delimiter=";").encode(), {}),
        ("tabs.tsv", text(rows(), delimiter="\t").encode(), {}),
        ("bars.txt", text(rows(), delimiter="|").encode(), {}),
        ("packed.csv.gz", gzip.compress(text(rows()).encode()), {}),
        ("中文.csv", text(rows()).encode("gb18030"), {"encoding": "gb18030"}),
        ("windows.csv", b"\xef\xbb\xbf" + text(rows()).replace("\n", "\r\n").encode(), {"ignore": []}),
        ("utf 16.csv", text(rows()).encode("utf-16"), {"encoding": "utf-16"}),
        ("quoted.csv", text(rows()).replace("red", '"red"').replace("green", " 'green'").encode(), {}),
        ("no end.csv", text(rows()).strip("\n").encode(), {}),
        ("signs.csv", text(rows()).replace(",,", ",NA,").encode(), {}),
    ],
)
def test_a_file_is_read_alike_in_every_format(
    name: str, content: bytes, options: dict[str, Any], place: Path, reference: TabularClassification
) -> None:
    (place / name).write_bytes(content)
    data = ready(place / name, **options)
    assert data.state_dict() == reference.state_dict()
    assert all(map(torch.equal, everything(data), everything(reference)))


def indexed(table: list[Row], first: str, step: int = 1) -> str:
    """With a first column that counts, as pandas and R write it."""
    lines = text(table).splitlines()
    return "".join(
        f"{line}\n" for line in [first + lines[0], *(f"{7 + step * row},{x}" for row, x in enumerate(lines[1:]))]
    )


def decimal_commas(table: list[Row]) -> str:
    return text(table, delimiter=";").replace(".", ",")


LEFT_OUT = "left out the first column, which has no name and counts the rows"
AS_NUMBERS = "column height is read as numbers"


@pytest.mark.parametrize(
    ("written", "note"),
    [
        (lambda table: indexed(table, ","), LEFT_OUT),
        (lambda table: indexed(table, "Unnamed: 0,"), LEFT_OUT),
        (lambda table: indexed(table, ""), LEFT_OUT),  # R leaves out the name of the names of rows
        (lambda table: text(table[:9]) + text(table[9:20]) + text(table[20:]), "left out 2 later copies of the header"),
        (lambda table: text(table).replace("\n", ",,\n"), "left out 2 empty columns without a name"),
        (lambda table: "Report 2020,,,\n,,,\n" + text(table), "left out what is above the header, Report 2020"),
        (
            lambda table: "# by a tool\n# in May\n" + text(table),
            "left out what is above the header, by a tool; in May",
        ),
        (lambda table: "sep=;\n" + text(table, delimiter=";"), None),
        (lambda table: text(table, delimiter="|"), None),
        (lambda table: text(table).replace(",,", ",?,").replace(",", "   "), None),
        (lambda table: text(table).replace("\n", "\r"), None),
        (lambda table: text(table).replace(",,", ",-,"), None),
        (lambda table: text(table).replace(",", ", "), None),
        (decimal_commas, f"{AS_NUMBERS} (decimal ,)"),
        (lambda table: decimal_commas(table).replace("\n", "\r\n"), f"{AS_NUMBERS} (decimal ,)"),
        (lambda table: text([[f"{row[0]} €", *row[1:]] for row in table]), f"{AS_NUMBERS} (decimal ., without €)"),
        (lambda table: text([[f"{row[0]:.3f}%", *row[1:]] for row in table]), f"{AS_NUMBERS} (decimal ., without %)"),
        (lambda table: text([[f"$ {row[0]}", *row[1:]] for row in table]), f"{AS_NUMBERS} (decimal ., without $)"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_table_is_read_like_the_same_written_plainly(
    written: Callable[[list[Row]], str], note: str | None, packed: bool, place: Path, reference: TabularClassification
) -> None:
    content = written(rows()).encode()
    file = place / ("table.zip" if packed else "table.csv")
    file.write_bytes(zipped({"folder/rows.csv": content, "__MACOSX/._rows.csv": b""}) if packed else content)
    data = ready(file)
    assert data.notes == ([f"{file}: {note}"] if note else [])
    assert data.state_dict() == reference.state_dict() | {"decimal_found": data.decimal_found}
    assert all(map(torch.equal, everything(data), everything(reference)))


def test_utf_16_is_recognised(place: Path, reference: TabularClassification) -> None:
    (place / "table.csv").write_text(text(rows(), delimiter="\t"), encoding="utf-16")
    assert ready(place / "table.csv").state_dict() == reference.state_dict()


def test_a_number_that_may_be_a_thousand_is_asked_about(place: Path, refused: Any) -> None:
    table = [[f"{row % 7 + 1},{row:03}", f"{row % 5 + 1},{row:03}", row] for row in range(20)]
    file = place / "table.tsv"
    file.write_text(text(table, ["price", "other", "y"], delimiter="\t"))
    with refused(file, "column price: 1,000 may be a thousand or have decimals", '--data.decimal "." or ","'):
        ready(file, TabularRegression)
    of_thousands, of_decimals = (ready(file, TabularRegression, decimal=decimal).table for decimal in (".", ","))
    assert of_thousands["price"].to_pylist()[:3] == [1000.0, 2001.0, 3002.0]
    assert of_decimals["price"].to_pylist()[:3] == [1.0, 2.001, 3.002]
    with file.open("a") as more:
        more.write("12,5\t1,000\t1\n")
    assert ready(file, TabularRegression).table["price"].to_pylist()[-1] == 12.5


@pytest.mark.parametrize("count", [20, 400])
def test_few_texts_in_a_column_of_numbers_are_told(count: int, place: Path) -> None:
    table = [["about 3" if row == 5 else f"{row / 8}", row % 2] for row in range(count)]
    notes: list[str] = []
    read_table(write(place / "table.csv", table, ["x", "y"]), Reading(note=notes.append))
    assert notes == [f"{place / 'table.csv'}: column x is read as text: about 3 are no numbers, as the others are"]


def test_columns_that_are_left_out_are_told(place: Path) -> None:
    table = [[f"ticket {row}", "", row % 7, row % 2] for row in range(100)]
    data = ready(write(place / "table.csv", table, ["name", "empty", "x", "y"]))
    assert data.notes == [
        f"{place / 'table.csv'}: left out columns without values, or whose values hardly recur: name, empty"
    ]


def test_a_parquet_file_is_read_alike(place: Path, reference: TabularClassification) -> None:
    table = pa.table({name: [row[number] for row in rows()] for number, name in enumerate(NAMES)})
    pa.parquet.write_table(table, place / "table.parquet")
    data = ready(place / "table.parquet")
    assert data.state_dict() == reference.state_dict()
    assert all(map(torch.equal, everything(data), everything(reference)))


@pytest.mark.parametrize("name", ["table.csv", "table.tsv", "table.csv.gz"])
def test_a_file_without_a_header_has_numbered_columns(name: str, place: Path, reference: TabularClassification) -> None:
    content = text(rows(), names=None, delimiter="\t" if "tsv" in name else ",").encode()
    (place / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    data = ready(place / name)
    assert [state["name"] for state in data.columns] == ["0", "1", "2"]
    assert data.target_name == "3"
    assert all(map(torch.equal, everything(data), everything(reference)))


def test_whether_there_is_a_header_can_be_said(place: Path) -> None:
    table = [[2019 + row % 3, row, row % 2] for row in range(20)]
    file = write(place / "years.csv", table, names=["2019", "2020", "2021"])
    sizes = [len(ready(file, TabularRegression, header=header).table) for header in (True, False, None)]
    assert sizes == [20, 21, 20]


@pytest.mark.parametrize(
    ("target", "name"), [("colour", "colour"), (1, "colour"), ("1", "colour"), (-1, "label"), (-3, "colour")]
)
def test_the_target_is_chosen_by_name_or_position(target: str | int, name: str, place: Path) -> None:
    data = ready(write(place / "table.csv", rows()), target=target)
    assert data.target_name == name
    assert name not in [state["name"] for state in data.columns]
    assert set(data.class_names) == {row[NAMES.index(name)] for row in rows()}


def test_columns_are_ignored_by_name_or_position(place: Path) -> None:
    data = ready(write(place / "table.csv", rows()), ignore=["height", 1])
    assert [state["name"] for state in data.columns] == ["weight"]


def test_columns_in_which_nearly_every_row_differs_or_none_has_a_value_are_left_out(place: Path) -> None:
    table = [[f"name {row}", None, row, row % 2] for row in range(100)]
    assert ready(write(place / "t.csv", table, ["name", "empty", "x", "y"])).feature_names == ["x"]


def test_dates_times_and_great_numbers_are_numbers(place: Path) -> None:
    table = [
        [
            f"20{row + 10}-03-01",
            f"2020-03-01 10:00:{row + 10}.5",
            f"12:{row + 10}:00",
            1234567890123456780 + row,
            row % 2,
        ]
        for row in range(40)
    ]
    data = ready(write(place / "t.csv", table, ["date", "moment", "time", "id", "label"]))
    assert data.feature_names == ["date", "moment", "time", "id"]
    x, _ = everything(data)
    assert x.isfinite().all()
    assert (x[1:, :3] > x[:-1, :3]).all()


@pytest.mark.parametrize(("kind", "target"), [(TabularClassification, -1), (TabularRegression, "height")])
def test_nothing_is_learned_from_rows_outside_the_training_split(
    kind: type[TabularClassification], target: str | int, place: Path
) -> None:
    table = rows()
    before = ready(write(place / "before.csv", table), kind, target=target)
    for row in torch.cat([before.splits.val, before.splits.test]).tolist():
        table[row][:3] = [table[row][0] + 1000, "purple", -5000]
    after = ready(write(place / "after.csv", table), kind, target=target)
    assert after.state_dict() == before.state_dict()
    table[before.splits.train[0]][0] += 1000
    assert ready(write(place / "other.csv", table), kind, target=target).state_dict() != before.state_dict()


def test_a_category_never_seen_in_training_is_all_zeros(place: Path) -> None:
    table = rows()
    row = int(ready(write(place / "t.csv", table)).splits.test[0])
    table[row][1] = "purple"
    data = ready(write(place / "t.csv", table))
    assert everything(data)[0][row, 1:4].tolist() == [0, 0, 0]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_folder_with_a_file_a_split_keeps_them(form: str, place: Path, reference: TabularClassification) -> None:
    parts = {"train": rows()[:25], "val": rows()[25:30], "test": rows()[30:]}
    for name, part in parts.items():
        file = write(place / f"{name}.csv", part)
        if form == "parquet":
            pa.parquet.write_table(pa.csv.read_csv(file), place / f"{name}.parquet")
            file.unlink()
    data = ready(place)
    assert [split.tolist() for split in data.splits] == [[*range(25)], [*range(25, 30)], [*range(30, 40)]]
    assert data.columns[0]["mean"] == pytest.approx(column(rows()[:25], 0).mean())
    assert everything(data)[1].tolist() == everything(reference)[1].tolist()


def test_a_folder_without_validation_has_it_cut_off_training(place: Path) -> None:
    write(place / "train.csv", rows()[:30])
    write(place / "test.csv", rows()[30:])
    data = ready(place, val_fraction=0.2)
    assert data.splits.test.tolist() == [*range(30, 40)]
    assert len(data.splits.val) == 6


def test_text_that_happens_to_be_numbers_in_another_split_stays_text(place: Path) -> None:
    write(place / "train.csv", [["A5" if row % 3 else "7", row % 2] for row in range(30)], ["ticket", "label"])
    write(place / "test.csv", [["7", row % 2] for row in range(4)], ["ticket", "label"])
    data = ready(place)
    assert everything(data)[0][-4:].tolist() == [[1, 0]] * 4


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("target", [0, 1, -1])
@pytest.mark.parametrize("ignore", [[], [3], [1]])
def test_input_may_lack_the_target_and_keeps_its_order(
    header: bool, target: int, ignore: list[str | int], place: Path
) -> None:
    table = [[row % 2, (row // 2) % 2, row, row % 5, row // 20] for row in range(40)]
    names = [*"abcde"] if header else None
    data = ready(write(place / "table.csv", table, names), target=target, ignore=ignore)
    expected, _ = everything(data)
    place_of = target % 5
    table.reverse()
    whole = write(place / "whole.csv", table, names)
    inputs = [row[:place_of] + row[place_of + 1 :] for row in table]
    lacking = write(place / "lacking.csv", inputs, names and names[:place_of] + names[place_of + 1 :])
    for file in (whole, lacking):
        found, rows_named = data.read_input(file)
        assert torch.equal(found[torch.arange(40)], expected.flip(0))
        assert rows_named == [str(row + 1) for row in range(40)]


def test_input_may_have_its_columns_in_another_order(place: Path) -> None:
    data = ready(write(place / "table.csv", rows()))
    turned = write(place / "turned.csv", [row[::-1] for row in rows()], NAMES[::-1])
    assert torch.equal(data.read_input(turned)[0][torch.arange(40)], everything(data)[0])


def test_the_mean_and_spread_of_a_numeric_target_are_those_of_the_training_split(place: Path) -> None:
    data = ready(write(place / "table.csv", rows()), TabularRegression, target="height")
    train = column(rows(), 0)[data.splits.train.numpy()]
    assert data.target_mean == pytest.approx(train.mean(), rel=1e-6)
    assert data.target_std == pytest.approx(train.std(), rel=1e-4)
    assert "height" not in data.feature_names


def test_numbers_in_quotes_are_classes_and_numbers(place: Path) -> None:
    file = write(place / "table.csv", [[row, f"'{row % 2}'"] for row in range(20)], names=None)
    assert ready(file).class_names == ["0", "1"]
    assert everything(ready(file, TabularRegression))[1].tolist() == [row % 2 for row in range(20)]


def test_a_byte_that_is_not_text_is_named_with_the_option_that_helps(place: Path, refused: Any) -> None:
    content = text(rows()).encode("gb18030")
    with pytest.raises(UnicodeDecodeError) as error:
        content.decode()
    (place / "table.csv").write_bytes(content)
    byte = error.value.start
    with refused(place / "table.csv", f"byte {byte} (0x{content[byte]:02x})", "utf-8", "--data.encoding"):
        ready(place / "table.csv")


def test_an_encoding_that_does_not_exist_is_refused(place: Path, refused: Any) -> None:
    with refused("--data.encoding gb18031"):
        TabularClassification("iris", encoding="gb18031")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", ["the file is empty"]),
        (b" \n\n", ["the file is empty"]),
        (b"a,b,c\n", ["no rows"]),
        (b"a,b\n1,2\n3,4,5\n6,7\n", [":3:", "expected 2 fields", "found 3"]),
        (b"a,b\n1,2\n3\n", [":3:", "expected 2 fields", "found 1"]),
        (b'a,b\n"1\n2",x\n3\n', [":4:", "found 1"]),
        (b"a,a\n1,2\n", [":1:", "two columns are called a"]),
        (b"x,y\n" + b"1,no\n" * 20, ["one class, no"]),
        (b"x,y\n" + b"1,no\n2,yes\n" * 9 + b"3,\n4,\n", ["row 19", "target y is missing", "2 of 20"]),
        (b"y\n" + b"no\nyes\n" * 9, ["no column to predict y from"]),
        (b"x,y\n" + b"1,no\n2,yes\n" * 9 + b"inf,yes\n", ["row 19", "column x", "inf is not a finite number"]),
        (b"x,y\n-inf,no\n" + b"1,no\n2,yes\n" * 9, ["row 1,", "column x", "-inf is not a finite number"]),
        (b"x,y\n" + b"".join(b"1,%d.5\n" % n for n in range(50)), ["target y", "50 values", "linear_regression"]),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(content: bytes, parts: list[str], place: Path, refused: Any) -> None:
    (place / "table.csv").write_bytes(content)
    with refused(place / "table.csv", *parts):
        ready(place / "table.csv")


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("cut.csv.gz", gzip.compress(text(rows(500)).encode())[:500], ["cannot be read"]),
        ("book.xls", b"\xd0\xcf\x11\xe0 and more", ["is an Excel 97 workbook", "as CSV"]),
        ("page.csv", b"<!DOCTYPE html>\n<html>", ["is a web page"]),
        ("pointer.csv", b"version https://git-lfs.github.com/spec/v1\noid", ["a pointer of Git LFS"]),
        ("two.zip", zipped({"a.csv": b"x,y\n1,2\n", "b.csv": b"x,y\n1,2\n"}), ["zip of 2 files", "a.csv, b.csv"]),
        ("book.xlsx", zipped({"xl/workbook.xml": b"", "a.xml": b""}), ["cannot be read as an Excel workbook"]),
        ("book.ods", zipped({"content.xml": b"", "a.xml": b""}), ["is an OpenDocument file", "as CSV"]),
        ("cut.zip", zipped({"a.csv": b"x,y\n1,2\n"})[:40], ["cannot be unpacked"]),
        ("false.parquet", b"not Parquet", ["cannot be read"]),
        ("empty.parquet", b"", ["cannot be read"]),
    ],
)
def test_a_damaged_file_is_named(name: str, content: bytes, parts: list[str], place: Path, refused: Any) -> None:
    (place / name).write_bytes(content)
    with refused(place / name, *parts):
        ready(place / name)


@pytest.mark.parametrize("as_list", [False, True])
def test_json_is_read_as_csv_is(as_list: bool, place: Path) -> None:
    table = rows(200)
    objects = [{name: cell for name, cell in zip(NAMES, row, strict=True) if cell is not None} for row in table]
    file = place / ("rows.json" if as_list else "rows.jsonl")
    lines = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in objects)
    file.write_text(json.dumps(objects) if as_list else lines, encoding="utf-8")
    of_json, of_csv = ready(file), ready(write(place / "rows.csv", table))
    assert of_json.state_dict() == of_csv.state_dict()
    first = torch.arange(9)
    for one, other in zip(of_json.examples(first)[first], of_csv.examples(first)[first], strict=True):
        assert torch.equal(one, other)


def test_a_column_of_lists_is_refused(place: Path, refused: Any) -> None:
    pa.parquet.write_table(pa.table({"a": [[1], [2]], "b": [0, 1]}), place / "table.parquet")
    with refused(place / "table.parquet", "column a", "list", "expected numbers or text"):
        ready(place / "table.parquet")


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"target": "labl"}, ["--data.target labl", *NAMES]),
        ({"target": 4}, ["--data.target 4", *NAMES]),
        ({"target": -5}, ["--data.target -5", *NAMES]),
        ({"ignore": ["size"]}, ["--data.ignore size", *NAMES]),
        ({"ignore": [0, 1, 2]}, ["no column to predict label from"]),
    ],
)
def test_a_column_that_is_not_there_is_refused_with_those_that_are(
    options: dict[str, Any], parts: list[str], place: Path, refused: Any
) -> None:
    with refused(*parts):
        ready(write(place / "table.csv", rows()), **options)


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        (["1", "2", "three", "4"] * 5, ["row 3", "target y is three", "expected a number", "--model mlp"]),
        (["1", "2", "inf", "4"] * 5, ["row 3", "target y is inf"]),
        (["1", "2", "", "4"] * 5, ["row 3", "target y is missing", "5 of 20"]),
        (["2"] * 20, ["target y is always 2"]),
    ],
)
def test_a_target_that_is_no_number_is_refused(values: list[str], parts: list[str], place: Path, refused: Any) -> None:
    file = write(place / "table.csv", [[number, value] for number, value in enumerate(values)], ["x", "y"])
    with refused(file, *parts):
        ready(file, TabularRegression)


@pytest.mark.parametrize(
    ("names", "table", "parts"),
    [
        ([*NAMES[:3], "class"], rows()[:5], ["its columns are height, colour, weight, class", "weight, label"]),
        (NAMES, [["tall", "red", 3, "是"]], ["column height holds text", "numbers"]),
    ],
)
def test_split_files_that_do_not_agree_are_refused(
    names: list[str], table: list[Row], parts: list[str], place: Path, refused: Any
) -> None:
    write(place / "train.csv", rows())
    write(place / "test.csv", table, names)
    with refused(place / "test.csv", *parts):
        ready(place)


def test_a_class_that_the_training_file_lacks_is_refused(place: Path, refused: Any) -> None:
    write(place / "train.csv", rows())
    write(place / "test.csv", [[1, "red", 2, "也许"], *rows(10)])
    with refused(place, "training split lacks class 也许", "1 in test"):
        ready(place)


def test_a_folder_without_a_training_file_is_refused(place: Path, refused: Any) -> None:
    with refused(place, "expected train, val (or valid, validation, dev, eval) and test files", "found nothing"):
        ready(place)


def restored(data: TabularClassification, path: Path) -> TabularClassification:
    other = TabularClassification(str(path), batch_size=1)
    other.load_state_dict(data.state_dict())
    return other


def test_a_label_that_a_restored_model_does_not_know_is_refused(reference: Any, place: Path, refused: Any) -> None:
    table = rows()
    table[4][3] = "perhaps"
    file = write(place / "new.csv", table)
    with refused(file, "example 5 has label perhaps", "否, 是"):
        restored(reference, file).setup_test()


@pytest.mark.parametrize(
    ("names", "change", "parts"),
    [
        (["tallness", *NAMES[1:]], {}, ["no column height", "tallness, colour, weight, label"]),
        (NAMES, {0: "tall"}, ["column height held numbers in training, in row 7 it holds tall"]),
        (NAMES, {0: "inf"}, ["row 7", "column height", "inf"]),
    ],
)
def test_input_that_does_not_fit_the_model_is_refused(
    names: list[str], change: dict[int, str], parts: list[str], reference: Any, place: Path, refused: Any
) -> None:
    table = rows()
    for number, value in change.items():
        table[6][number] = value
    file = write(place / "new.csv", table, names)
    with refused(file, *parts):
        reference.read_input(file)
    with refused(file, *parts):
        other = restored(reference, file)
        other.setup_test()
        next(iter(other.test_dataloader()))


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("file", "options", "counts"),
    [
        ("titanic/titanic.csv", {"target": "Survived"}, {"0": 549, "1": 342}),
        ("mammography/mammography.csv", {}, {"-1": 10_923, "1": 260}),
        ("iris/iris.csv", {}, {"Iris-setosa": 50, "Iris-versicolor": 50, "Iris-virginica": 50}),
    ],
)
def test_published_tables_are_read(
    file: str, options: dict[str, Any], counts: dict[str, int], shared_data: Path
) -> None:
    data = ready(shared_data / "tabular" / file, **options)
    x, y = everything(data)
    assert dict(zip(data.class_names, torch.bincount(y).tolist(), strict=True)) == counts
    assert x.isfinite().all()


@pytest.mark.real_data
def test_the_titanic_is_read_as_a_person_would(shared_data: Path) -> None:
    data = ready(shared_data / "tabular" / "titanic" / "titanic.csv", target="Survived")
    assert {state["name"] for state in data.columns if state["kind"] == "number"} >= {"Age", "Fare", "Pclass", "SibSp"}
    assert {"Sex=female", "Embarked=S", "Age missing"} <= set(data.feature_names)
    assert not any(name.startswith(("Name", "Ticket")) for name in data.feature_names)


@pytest.mark.real_data
def test_housing_is_regression(shared_data: Path) -> None:
    file = shared_data / "tabular" / "california_housing" / "housing.csv"
    data = ready(file, TabularRegression, target="median_house_value")
    x, y = everything(data)
    assert len(y) == 20_640
    assert "total_bedrooms missing" in data.feature_names
    assert sum(name.startswith("ocean_proximity=") for name in data.feature_names) >= 4
    assert x.isfinite().all()
    assert x[data.splits.train].mean(0)[0].abs() < 1e-4


def test_a_column_of_texts_stays_one_whatever_a_file_to_predict_contains(place: Path) -> None:
    table = [[("01", "02", "A1")[row % 3], row / 7, row % 3] for row in range(60)]
    data = ready(write(place / "table.csv", table, ["code", "x", "y"]))
    alone, beside = (
        data.read_input(write(place / name, [["01", 0.5], ["02", 0.5], *more], ["code", "x"]))[0][torch.arange(2)]
        for name, more in (("alone.csv", []), ("beside.csv", [["A1", 0.5]]))
    )
    assert torch.equal(alone, beside)
    assert alone[:, :3].sum() == 2  # both codes are known


@pytest.mark.parametrize("columns", [3, 4])
def test_a_file_to_predict_without_a_header_is_read_by_position(columns: int, place: Path) -> None:
    data = ready(write(place / "table.csv", rows()))
    named, unnamed = (
        data.read_input(write(place / name, [row[:columns] for row in rows()[:6]], names))[0][torch.arange(6)]
        for name, names in (("named.csv", NAMES[:columns]), ("unnamed.csv", None))
    )
    assert torch.equal(named, unnamed)
    assert f"has no header; its columns are taken for {', '.join(NAMES[:columns])}, in this order" in data.notes[-1]


def test_a_file_to_predict_with_a_header_is_read_by_position_where_training_had_none(place: Path, refused: Any) -> None:
    table = [[row / 7, ("01", "02", "A1")[row % 3], "ab"[row % 2]] for row in range(60)]
    data = ready(write(place / "table.csv", table, None))
    new = write(place / "new.csv", [row[:2] for row in table[:2]], ["width", "code"])
    inputs = data.read_input(new)[0][torch.arange(2)]
    assert torch.equal(inputs, data._encode(data.table, "")[:2])  # codes are texts, as in training
    assert data.notes[-1] == f"{new}: training had no header; the columns width, code are taken in this order"
    unnamed = data.read_input(write(place / "unnamed.csv", [row[:2] for row in table[:2]], None))[0][torch.arange(2)]
    assert torch.equal(inputs, unnamed)
    with refused(place / "more.csv", "has 1 columns, and training had no names; expected 2, of 0, 1"):
        data.read_input(write(place / "more.csv", [[1.5], [2.5]], ["width"]))
    with refused(place / "index.csv", "2 would be 2 in row 1; expected columns 0, 1"):
        data.read_input(write(place / "index.csv", [[9, 1.5, "02"], [7, 2.5, "02"]], None))


def test_a_code_is_a_text_in_a_file_without_a_header(place: Path) -> None:
    table = [["ab"[row % 2], row / 7, ("01", "02", "A1")[row % 3]] for row in range(60)]
    data = ready(write(place / "table.csv", table, ["kind", "x", "code"]), target="kind")
    for columns in (table[:2], [row[1:] for row in table[:2]]):
        inputs = data.read_input(write(place / "new.csv", columns, None))[0][torch.arange(2)]
        assert torch.equal(inputs, data._encode(data.table, "")[:2])


@pytest.mark.parametrize("written", ["%Y/%m/%d", "%d.%m.%Y", "%d-%b-%Y"])
@pytest.mark.parametrize("as_json", [False, True])
def test_dates_to_predict_may_be_written_in_another_way(written: str, as_json: bool, place: Path) -> None:
    days = [date(2021, 1, 1) + timedelta(days=3 * row) for row in range(60)]
    table = [[f"{day:%Y-%m-%d}", row % 2] for row, day in enumerate(days)]
    data = ready(write(place / "table.csv", table, ["day", "y"]))
    new = [[day.strftime(written)] for day in days]
    if as_json:
        (place / "new.json").write_text(json.dumps([{"day": day} for (day,) in new]))
    file = place / "new.json" if as_json else write(place / "new.csv", new, ["day"], delimiter=";")
    assert torch.equal(data.read_input(file)[0][torch.arange(60)], data._encode(data.table, ""))


def test_the_option_decides_on_a_date_to_predict_that_may_be_two(place: Path, refused: Any) -> None:
    table = [[f"2021-{row % 12 + 1:02}-02", row % 2] for row in range(60)]
    data = ready(write(place / "table.csv", table, ["day", "y"]))
    new = write(place / "new.csv", [["02.03.2021"]], ["day"])
    with refused(new, "02.03.2021 may begin with the day or the month; give --data.day_first"):
        data.read_input(new)
    data.day_first = True
    inputs = data.read_input(new)[0][torch.arange(1)]
    assert torch.equal(inputs, data._encode(data.table, "")[2:3])


def test_points_are_decimal_in_a_file_of_commas_to_predict(place: Path) -> None:
    table = [[row + 1.125, row % 9, row / 3] for row in range(60)]
    point = ready(write(place / "point.csv", table, ["a", "b", "y"]), TabularRegression)
    comma = place / "comma.csv"
    comma.write_text((place / "point.csv").read_text().replace(",", ";").replace(".", ","))
    data = ready(comma, TabularRegression)
    assert data.decimal_found == ","
    for name, delimiter in (("new.csv", ","), ("new.tsv", "\t")):
        new = write(place / name, [row[:2] for row in table], ["a", "b"], delimiter=delimiter)
        same = torch.equal(data.read_input(new)[0][torch.arange(60)], point._encode(point.table, ""))
        assert same == (delimiter == ",")  # elsewhere 1.125 may be a thousand, as training said


def test_predictions_have_the_ids_of_their_rows(place: Path) -> None:
    table = [[f"K{row:03}", *cells] for row, cells in enumerate(rows())]
    data = ready(write(place / "table.csv", table, ["customer_id", *NAMES]))
    assert data.read_input(place / "table.csv")[1][:2] == ["K000", "K001"]
    repeated = write(place / "repeated.csv", [table[0], table[0]], ["customer_id", *NAMES])
    assert data.read_input(repeated)[1] == ["1", "2"]


@pytest.mark.parametrize("mark", ["None", "NA", "null"])
def test_a_mark_that_is_one_of_a_few_classes_is_one(mark: str, place: Path) -> None:
    table = [[row / 7, (mark, "apnea", "insomnia")[row % 3]] for row in range(60)]
    data = ready(write(place / "table.csv", table, ["x", "disorder"]))
    assert set(data.class_names) == {mark, "apnea", "insomnia"}
    assert f"{mark} (20 rows) is a class of the target disorder" in data.notes[0]


def test_a_test_file_without_the_target_is_left_out(place: Path) -> None:
    write(place / "train.csv", rows())
    write(place / "test.csv", [row[:3] for row in rows()[:7]], NAMES[:3])
    write(place / "sample_submission.csv", [[1, "是"]], ["id", "label"])
    data = ready(place)
    assert sum(map(len, data.splits)) == 40
    assert "ignored sample_submission.csv" in data.notes[0]
    assert f"{place / 'test.csv'}: has no column label, and is not tested on; predict it with" in data.notes[1]


def test_the_two_files_of_uci_adult_are_read(place: Path) -> None:
    draw = random.Random(1)
    table = [(draw.randint(17, 90), draw.choice(["Private", "?", "State-gov"]), draw.randint(1, 99)) for _ in range(80)]
    lines = [f"{age}, {work}, {hours}, {'>50K' if hours > 50 else '<=50K'}" for age, work, hours in table]
    (place / "adult.data").write_text("\n".join(lines[:60]) + "\n\n")
    (place / "adult.test").write_text("|1x3 Cross validator\n" + "".join(f"{line}.\n" for line in lines[60:]))
    (place / "adult.names").write_text("about the data")
    data = ready(place)
    assert data.class_names == ["<=50K", ">50K"]
    assert len(data.splits.test) == 20
    assert len(data.table) == 80
    assert any("left out what is above the header, |1x3 Cross validator" in note for note in data.notes)
    assert any("ignored adult.names" in note for note in data.notes)
    assert [state.get("values") for state in data.columns][1] == ["", "Private", "State-gov"]


def dated_rows(form: str) -> list[Row]:
    days = [date(2021, 1, 1) + timedelta(days=17 * row) for row in range(60)]
    return [[None if row == 9 else day.strftime(form), row % 7, row % 2] for row, day in enumerate(days)]


@pytest.mark.parametrize("form", ["%d.%m.%Y", "%m/%d/%Y", "%Y年%m月%d日", "%d %b %Y"])
@pytest.mark.parametrize("dates", ["elapsed", "parts", "none"])
def test_dates_become_the_features_of_the_same_iso_dates(form: str, dates: str, place: Path) -> None:
    names = ["day", "x", "y"]
    plain = ready(write(place / "iso.csv", dated_rows("%Y-%m-%d"), names), dates=dates)
    data = ready(write(place / "table.csv", dated_rows(form), names), dates=dates)
    assert torch.equal(everything(data)[0], everything(plain)[0])
    assert data.feature_names == plain.feature_names
    assert data.notes[0] == f"{place / 'table.csv'}: column day is read as dates"
    parts = {"elapsed": ["day"], "parts": [f"day {part}" for part in ("year", "month", "day", "weekday", "hour")]}
    assert [state["name"] for state in data.columns] == [*parts.get(dates, []), "x"]
    new = write(place / "new.csv", [row[:2] for row in dated_rows(form)[3:4]], names[:2])
    assert torch.equal(data.read_input(new)[0][torch.arange(1)], everything(data)[0][3:4])
    options: Any = {"dates": dates}
    other = TabularClassification(str(place / "table.csv"), batch_size=1, **options)
    other.load_state_dict(data.state_dict())
    assert torch.equal(other.read_input(new)[0][torch.arange(1)], everything(data)[0][3:4])


def test_an_input_without_dates_where_training_had_them_is_refused(place: Path, refused: Any) -> None:
    data = ready(write(place / "table.csv", dated_rows("%d.%m.%Y"), ["day", "x", "y"]))
    with refused(place / "new.csv", "column day held dates in training, now it holds soon"):
        data.read_input(write(place / "new.csv", [["soon", 1]], ["day", "x"]))


def test_years_above_other_numbers_are_names(place: Path) -> None:
    table = [[f"country {row % 7}", row, row + 1, row + 2, row % 2] for row in range(40)]
    data = ready(write(place / "table.csv", table, ["country", "2019", "2020", "2021", "y"]))
    assert data.table.column_names == ["country", "2019", "2020", "2021", "y"]
    assert data.class_names == ["0", "1"]


def test_points_are_of_thousands_where_other_columns_have_decimal_commas(place: Path) -> None:
    lines = [f"{price};{row},5;{row % 2}" for row, price in enumerate(("950", "1.500", "12.000") * 8)]
    (place / "table.csv").write_text("price;amount;y\n" + "\n".join(lines))
    data = ready(place / "table.csv")
    assert data.table["price"].to_pylist()[:3] == [950, 1500, 12000]
    assert data.table["amount"].to_pylist()[:2] == [0.5, 1.5]


@pytest.mark.parametrize(("other", "asked"), [("{0}", True), ("{0}.25", False)])
def test_points_that_may_be_of_thousands_are_asked_about(other: str, asked: bool, place: Path, refused: Any) -> None:
    lines = [f"{row % 7 + 1}.{row:03};{other.format(row)};{row % 2}" for row in range(1, 30)]
    file = place / "table.csv"
    file.write_text("price;amount;y\n" + "\n".join(lines))
    if not asked:
        assert ready(file).table["price"].to_pylist()[0] == 2.001
        return
    with refused(file, "column price", "may be a thousand or have decimals", "--data.decimal"):
        ready(file)
    assert ready(file, decimal=".").table["price"].to_pylist()[0] == 2.001
    assert ready(file, decimal=",").table["price"].to_pylist()[0] == 2001


def test_an_input_has_the_decimal_sign_of_training(place: Path) -> None:
    lines = [f'"{row},5",{row % 2}' for row in range(40)]
    (place / "table.csv").write_text("x,y\n" + "\n".join(lines))
    data = ready(place / "table.csv")
    restored = TabularClassification(str(place / "table.csv"), batch_size=1)
    restored.load_state_dict(data.state_dict())
    (place / "new.csv").write_text('x\n"1,500"\n')
    for each in (data, restored):
        assert torch.equal(each.read_input(place / "new.csv")[0][torch.arange(1)], everything(data)[0][1:2])


def test_a_column_of_texts_is_one_in_every_split(place: Path) -> None:
    train = [[("01", "02", "A1")[row % 3], row % 2] for row in range(30)]
    write(place / "train.csv", train, ["code", "y"])
    write(place / "test.csv", [["01", 0], ["02", 1]], ["code", "y"])
    data = ready(place)
    assert everything(data)[0][-2:].sum() == 2  # both codes are known


def test_a_mark_behind_a_blank_that_was_a_category_stays_one(place: Path) -> None:
    table = [[("Private", " ?")[row % 2], row % 2] for row in range(40)]
    data = ready(write(place / "table.csv", table, ["work", "y"]))
    state = data.state_dict()
    state["columns"] = [{"name": "work", "kind": "category", "values": ["?", "Private"]}]  # as earlier versions read it
    earlier = TabularClassification(str(place / "table.csv"), batch_size=1)
    earlier.load_state_dict(state)
    assert earlier.read_input(place / "table.csv")[0][torch.arange(2)].tolist() == [[0, 1], [1, 0]]
