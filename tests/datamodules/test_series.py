import random
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from datamodules.series import Series

W, H = 4, 3


def values(size: int = 60) -> list[list[float]]:
    """A target and two covariates, no two values alike."""
    return [[row**1.5, 1000 - row, float(np.sin(row))] for row in range(size)]


def write(file: Path, table: list[list[Any]], names: str = "time,load,heat,温度") -> Path:
    lines = [
        f"2024-01-{1 + row // 24:02d} {row % 24:02d}:00:00," + ",".join(map(str, r)) for row, r in enumerate(table)
    ]
    file.write_text("\n".join([names, *lines]) + "\n", encoding="utf-8")
    return file


def ready(path: Path, **options: Any) -> Series:
    data = Series(str(path), **{"target": "load", "window": W, "horizon": H, "batch_size": 1, **options})
    data.setup()
    return data


def whole(data: Series, split: str) -> tuple[Tensor, Tensor]:
    examples = data.split_examples(split)
    batch: tuple[Tensor, Tensor] = examples[torch.arange(len(examples))]
    return batch


def test_windows_are_those_cut_by_hand(place: Path) -> None:
    data = ready(write(place / "load.csv", values()), covariates=["温度", 2])
    assert data.columns == ["load", "温度", "heat"]
    table = np.array(values())[:, [0, 2, 1]]
    train = table[:42]  # 60 rows less 20 % and 10 %
    scaled = (table - train.mean(0)) / train.std(0)
    ends = {"train": range(W + H, 43), "val": range(42 + H, 49), "test": range(48 + H, 61)}
    for split, stops in ends.items():
        x, y = whole(data, split)
        np.testing.assert_allclose(x, [scaled[stop - H - W : stop - H] for stop in stops], atol=1e-5)
        np.testing.assert_allclose(y, [table[stop - H : stop, 0] for stop in stops], rtol=1e-6)


def test_every_value_of_validation_and_test_is_forecast_and_none_twice_in_two_parts(place: Path) -> None:
    data = ready(write(place / "load.csv", values()))
    forecast = {split: set(whole(data, split)[1].flatten().tolist()) for split in ("train", "val", "test")}
    load = torch.tensor(values())[:, 0].tolist()
    assert forecast == {"train": {*load[W:42]}, "val": {*load[42:48]}, "test": {*load[48:]}}


def test_no_input_knows_what_comes_after_its_window(place: Path) -> None:
    before = ready(write(place / "before.csv", values()))
    changed = values()
    for row in range(50, 60):
        changed[row] = [-1e6, 1e6, 1e6]
    after = ready(write(place / "after.csv", changed))
    for split in ("train", "val"):
        torch.testing.assert_close(whole(before, split), whole(after, split), rtol=0, atol=0)
    (old, _), (new, _) = whole(before, "test"), whole(after, "test")
    first = 48 - W  # where the test part's first window begins
    for number, (one, other) in enumerate(zip(old, new, strict=True)):
        unchanged = min(max(50 - (first + number), 0), W)
        assert torch.equal(one[:unchanged], other[:unchanged])
        assert not torch.equal(one, other) or unchanged == W


def test_scaling_is_learned_from_the_training_part_alone(place: Path) -> None:
    data = ready(write(place / "load.csv", values()), covariates=["heat"])
    train = np.array(values())[:42, :2]
    np.testing.assert_allclose(data.means, train.mean(0))
    np.testing.assert_allclose(data.stds, train.std(0))
    assert (data.target_mean, data.target_std) == (data.means[0], data.stds[0])


def test_windows_are_views(place: Path) -> None:
    examples: Any = ready(write(place / "load.csv", values())).split_examples("train")
    assert examples.windows.untyped_storage().nbytes() == 60 * 2 * 4


def test_a_constant_covariate_does_no_harm(place: Path) -> None:
    data = ready(write(place / "load.csv", [[row, 5, 5] for row in range(60)]), covariates=["heat"])
    x, _ = whole(data, "train")
    assert x.isfinite().all()
    assert x[..., 1].abs().max() == 0


def test_input_gives_the_last_window_scaled_as_in_training(place: Path) -> None:
    file = write(place / "load.csv", values())
    data = ready(file, covariates=["heat"])
    examples, names = data.read_input(file)
    table = np.array(values())[:, :2]
    scaled = (table - table[:42].mean(0)) / table[:42].std(0)
    np.testing.assert_allclose(examples[torch.arange(1)], scaled[None, -W:], atol=1e-5)
    assert names == ["61", "62", "63"]


def test_another_series_is_tested_whole(place: Path) -> None:
    data = ready(write(place / "load.csv", values()))
    other = Series(str(write(place / "other.csv", values(30))), window=W, horizon=H)
    other.load_state_dict(data.state_dict())
    other.setup_test()
    assert len(whole(other, "test")[0]) == 30 - W - H + 1
    assert other.means == data.means


def test_the_state_is_plain(place: Path, tmp_path: Path) -> None:
    data = ready(write(place / "load.csv", values()), season=2)
    torch.save(data.state_dict(), tmp_path / "state.pt")
    assert torch.load(tmp_path / "state.pt", weights_only=True) == data.state_dict()
    assert data.season == 2


def test_sunspots_are_numbers_of_every_month_from_1749_to_1983() -> None:
    data = Series(window=132)
    data.setup()
    assert len(data.values) == 12 * (1983 - 1749 + 1)
    assert data.values.min() == 0
    assert data.season == 132
    assert float(data.values.mean()) == pytest.approx(51.27, abs=0.01)


def test_a_season_longer_than_the_window_is_not_taken_for_granted() -> None:
    data = Series(window=96)
    data.setup()
    assert data.season is None


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"window": 0}, ["--data.window", "at least 1", "got 0"]),
        ({"horizon": -2}, ["--data.horizon", "at least 1", "got -2"]),
        ({"window": 5, "season": 6}, ["--data.season 6", "1 to 5", "--data.window"]),
        ({"num_folds": 5, "fold": 0}, ["--data.num_folds", "future"]),
        ({"encoding": "gb18031"}, ["--data.encoding gb18031"]),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], parts: list[str], refused: Any) -> None:
    with refused(*parts):
        Series(**options)


def changed(row: int, column: int, value: Any) -> list[list[Any]]:
    table: list[list[Any]] = values()
    table[row][column] = value
    return table


@pytest.mark.parametrize(
    ("table", "options", "parts"),
    [
        (values(6), {}, ["has 6 rows", "at least 7", "--data.window 4", "--data.horizon 3"]),
        (values(12), {}, ["12 rows are too few", "the val part has no window"]),
        (changed(7, 0, ""), {}, ["row 8", "column load", "missing"]),
        (changed(7, 0, "inf"), {}, ["row 8", "column load", "inf, not a finite number"]),
        (changed(59, 1, "nan"), {"covariates": ["heat"]}, ["row 60", "column heat", "missing"]),
        (changed(7, 0, "much"), {}, ["column load holds string", "expected numbers"]),
        (values(), {"target": "lood"}, ["--data.target lood", "time, load, heat, 温度"]),
        (values(), {"covariates": [7]}, ["--data.covariates 7", "time, load, heat, 温度"]),
        ([[5, 1, row] for row in range(60)], {}, ["column load is always 5", "training part"]),
        ([], {}, ["a header and no rows"]),
    ],
)
def test_a_series_that_cannot_be_used_is_refused(
    table: list[list[Any]], options: dict[str, Any], parts: list[str], place: Path, refused: Any
) -> None:
    file = write(place / "load.csv", table)
    with refused(*parts):
        ready(file, **options)


def days(size: int = 60, start: date = date(2021, 1, 5)) -> list[date]:
    return [start + timedelta(days=row) for row in range(size)]


def dated(file: Path, lines: Iterable[str], names: str = "date,load") -> Path:
    file.write_text("\n".join([names, *lines]) + "\n", encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "form",
    [
        *("%Y-%m-%d", "%m/%d/%Y", "%d.%m.%Y", "%d/%m/%y", "%Y年%m月%d日", "%Y/%m/%d", "%d-%b-%Y", "%B %d, %Y"),
        *("%Y%m%d", "%Y-%m-%dT%H:%M:%SZ", "%d/%m/%Y %H:%M", "%m/%d/%Y %I:%M:%S %p", "%s"),
    ],
)
@pytest.mark.parametrize("order", ["ascending", "descending", "shuffled"])
def test_rows_are_sorted_by_their_dates(form: str, order: str, place: Path) -> None:
    rows = [(day.strftime(form), row**1.5) for row, day in enumerate(days())]
    lines = [f'"{day}",{value}' for day, value in rows]
    if order != "ascending":
        lines = lines[::-1] if order == "descending" else random.Random(0).sample(lines, len(lines))
    data = ready(dated(place / "load.csv", lines))
    assert data.values[:, 0].tolist() == [value for _, value in rows]
    assert data.notes == [f"{data.dataset}: its rows are not in the order of date; they are sorted by it"] * (
        order != "ascending"
    )


def test_a_date_that_may_begin_with_the_month_is_asked_about(place: Path, refused: Any) -> None:
    pairs = [(day, month) for day in range(1, 13) for month in range(1, 7)]
    lines = [f"{day:02}/{month:02}/2021,{day + month}" for day, month in random.Random(1).sample(pairs, len(pairs))]
    file = dated(place / "load.csv", lines)
    with refused(file, "column date", "may begin with the day or the month", "--data.day_first true or false"):
        ready(file)
    sums = [ready(file, day_first=day_first).values[:3, 0].tolist() for day_first in (True, False)]
    assert sums == [[2, 3, 4], [2, 3, 4]]


@pytest.mark.parametrize("by", ["store", "date"])
@pytest.mark.parametrize("names", [("north", "south"), ("1", "2")])
def test_several_series_are_told_apart_and_never_mixed(by: str, names: tuple[str, str], place: Path) -> None:
    table = [
        (name, day, sign * (row + 1))
        for name, sign in zip(names, (1, -1), strict=True)
        for row, day in enumerate(days(50))
    ]
    if by == "date":
        table.sort(key=lambda row: row[1])
    data = ready(dated(place / "load.csv", [f"{name},{day},{load}" for name, day, load in table], "store,date,load"))
    assert data.lengths == [50, 50]
    assert data.notes == [f"{data.dataset}: reads 2 series, told apart by store: {', '.join(names)}"]
    for split, count in (("train", 2 * (35 - W - H + 1)), ("val", 2 * 3), ("test", 2 * 8)):
        x, y = whole(data, split)
        inputs = x[..., 0] * data.stds[0] + data.means[0]
        assert len(y) == count
        assert ((inputs > 0).all(1) == (y > 0).all(1)).all()
        assert ((inputs > 0).all(1) | (inputs < 0).all(1)).all()
    rows = np.array([load for _, _, load in table if abs(load) <= 35])
    assert data.means[0] == pytest.approx(rows.mean(), abs=1e-9)
    assert data.read_input(place / "load.csv")[1][::H] == [f"{name} 51" for name in names]


def test_several_columns_that_tell_series_apart_are_asked_about(place: Path, refused: Any) -> None:
    lines = [
        f"{day},{store},{town},{row}" for row, day in enumerate(days(30)) for store, town in (("a", "x"), ("b", "y"))
    ]
    file = dated(place / "load.csv", lines, "date,store,town,load")
    with refused(file, "which column tells the series apart?", "--data.series", "store or town"):
        ready(file)
    assert ready(file, series="town").lengths == [30, 30]


@pytest.mark.parametrize("fill", ["linear", "previous"])
def test_gaps_and_repeated_times_are_told_and_filled(fill: str, place: Path) -> None:
    kept = [row for row in range(60) if row not in (7, 20, 21)]
    lines = [f"{days()[row]},{row}" for row in kept]
    lines.insert(5, f"{days()[4]},6")
    file = dated(place / "load.csv", lines)
    assert ready(file).notes == [
        f"{file}: 2 steps of time are longer than the usual 1 day; --data.fill linear (or previous) fills them",
        f"{file}: 1 times are repeated; --data.fill linear (or previous) averages their values",
    ]
    data = ready(file, fill=fill)
    expected = [float(row) for row in range(60)]
    expected[4] = 5.0
    if fill == "previous":
        expected[7], expected[20], expected[21] = 6, 19, 19
    assert data.values[:, 0].tolist() == expected


def test_missing_values_are_filled_on_demand(place: Path, refused: Any) -> None:
    lines = [f"{day},{'' if row in (0, 9) else row}" for row, day in enumerate(days())]
    file = dated(place / "load.csv", lines)
    with refused(file, "row 1, column load: the value is missing", "--data.fill previous or linear"):
        ready(file)
    assert ready(file, fill="linear").values[:11, 0].tolist() == [1, *range(1, 11)]


def test_months_are_equal_steps(place: Path) -> None:
    lines = [f"{2000 + month // 12}-{month % 12 + 1:02},{month}" for month in range(72) if month != 30]
    data = ready(dated(place / "load.csv", lines), fill="linear")
    assert data.values[:, 0].tolist() == list(range(72))


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", ["the file is empty"]),
        ("负荷,load\n1,2\n".encode("gb18030"), ["byte 0", "utf-8", "--data.encoding"]),
        (b"time,load\n1,2\n3\n", [":3:", "expected 2 fields", "found 1"]),
    ],
)
def test_a_file_that_is_no_table_is_refused(content: bytes, parts: list[str], place: Path, refused: Any) -> None:
    (place / "load.csv").write_bytes(content)
    with refused(place / "load.csv", *parts):
        ready(place / "load.csv")


def test_a_folder_is_refused(place: Path, refused: Any) -> None:
    with refused(place, "is a folder"):
        ready(place)


def test_input_that_does_not_fit_is_refused(place: Path, refused: Any) -> None:
    data = ready(write(place / "load.csv", values()), covariates=["heat"])
    with refused("has 3 rows", "--data.window 4"):
        data.read_input(write(place / "short.csv", values(3)))
    with refused("no column heat", "time, load, cold"):
        data.read_input(write(place / "other.csv", [row[:2] for row in values()], "time,load,cold"))
    with refused("is a folder"):
        data.read_input(place)


@pytest.mark.real_data
def test_etth1_has_the_standard_split(shared_data: Path) -> None:
    data = Series("ETTh1", root=str(shared_data), target="OT", window=96, horizon=24)
    data.setup()
    assert [len(part) for part in data.splits] == [8640 - 96 - 24 + 1, 2880 - 24 + 1, 2880 - 24 + 1]
    assert data.season == 24
    _, y = whole(data, "test")
    assert y[0, 0] == data.values[11_520, 0].float()
    assert y[-1, -1] == data.values[14_399, 0].float()
    assert data.target_mean == pytest.approx(float(data.values[:8640, 0].mean()))


def test_a_parquet_file_is_read_as_the_same_columns_in_csv_are(place: Path) -> None:
    columns = dict(zip(("load", "heat", "温度"), zip(*values(), strict=True), strict=True))
    pq.write_table(pa.table(columns), place / "load.parquet")
    found, expected = (
        ready(file, covariates=["温度"]) for file in (place / "load.parquet", write(place / "load.csv", values()))
    )
    for split in ("train", "val", "test"):
        torch.testing.assert_close(whole(found, split), whole(expected, split))


@pytest.mark.parametrize(("name", "hour"), [("ETTh1", 1), ("ETTh2", 1), ("ETTm1", 4), ("ETTm2", 4)])
def test_transformers_temperatures_have_months_for_their_splits(name: str, hour: int, place: Path) -> None:
    month = 30 * 24 * hour
    (place / name).mkdir()
    rows = "".join(f"{row},{row % 97}\n" for row in range(21 * month))
    (place / name / f"{name}.csv").write_text("HUFL,OT\n" + rows)
    data = Series(name, root=str(place), target="HUFL", window=W, horizon=H)
    data.setup()
    assert [len(part) for part in data.splits] == [12 * month - W - H + 1, 4 * month - H + 1, 4 * month - H + 1]
    for split, (first, end) in {"val": (12, 16), "test": (16, 20)}.items():
        _, y = whole(data, split)
        assert [y[0, 0], y[-1, -1]] == [first * month, end * month - 1]


def test_an_input_has_the_decimal_sign_of_training(place: Path) -> None:
    data = ready(dated(place / "load.csv", [f'{day},"{row},5"' for row, day in enumerate(days())]))
    dated(place / "new.csv", [f'{day},"{row + 1},500"' for row, day in enumerate(days(W))])
    inputs = data.read_input(place / "new.csv")[0][torch.arange(1)]
    assert (inputs[0, :, 0] * data.stds[0] + data.means[0]).tolist() == pytest.approx([1.5, 2.5, 3.5, 4.5], abs=1e-4)
