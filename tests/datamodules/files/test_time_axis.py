"""The dates of a series' windows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datamodules.files.time_axis import date_texts
from datamodules.series import Series

W, H = 4, 3


def data_of(folder: Path, times: list[str], name: str = "date", **options: Any) -> Series:
    file = folder / "data.csv"
    lines = [f"{time},{row**1.5 % 7}" for row, time in enumerate(times)]
    file.write_text("\n".join([f"{name},load", *lines]) + "\n", encoding="utf-8")
    data = Series(str(file), target="load", window=W, horizon=H, batch_size=1, **options)
    data.setup()
    return data


def dates(data: Series) -> list[str]:
    assert data.dates is not None
    return date_texts(data.dates, data.dates)


def hours(first: str, count: int) -> list[str]:
    every = np.datetime64(first, "m") + np.arange(count) * np.timedelta64(60, "m")
    return [str(time).replace("T", " ") for time in every]


def test_a_window_is_named_by_the_date_of_the_first_value_to_forecast(place: Path) -> None:
    times = hours("2024-02-28 20:00", 60)
    data = data_of(place, times)
    rows = data.splits.test
    assert data.origins(rows) == [times[start + W] for start in data.starts[rows].tolist()]
    found = data.dates_of(rows[:2])
    assert found is not None
    assert found.shape == (2, W + H)
    assert date_texts(found[1], found) == times[data.starts[rows[1]] : data.starts[rows[1]] + W + H]
    assert data.origin(int(rows[0])) == data.origins(rows)[0]


def test_dates_of_irregular_steps_are_those_of_their_rows(place: Path) -> None:
    times = hours("2024-01-01 00:00", 60)
    gap = [*times[:20], *(time[:-2] + "07" for time in times[20:40]), *hours("2024-03-05 12:30", 20)]
    data = data_of(place, gap)
    assert dates(data) == gap
    assert data.origins(data.splits.test)[-1] == gap[-H]


def test_an_hour_that_daylight_saving_skips_or_repeats_keeps_its_own_date(place: Path) -> None:
    spring = [*hours("2024-03-31 00:00", 2), *hours("2024-03-31 03:00", 60)]  # no 02:00
    assert dates(data_of(place, spring)) == spring
    filled = dates(data_of(place, spring, fill="linear"))
    assert filled == hours("2024-03-31 00:00", 63)
    autumn = [*hours("2024-10-27 00:00", 3), *hours("2024-10-27 02:00", 60)]  # 02:00 twice
    assert dates(data_of(place, autumn)) == autumn
    assert dates(data_of(place, autumn, fill="previous")) == hours("2024-10-27 00:00", 62)


def test_times_with_offsets_are_in_utc_whatever_daylight_saving_does(place: Path) -> None:
    local = [f"{time}+01:00" for time in hours("2024-03-31 00:00", 2)]
    local += [f"{time}+02:00" for time in hours("2024-03-31 03:00", 60)]
    assert dates(data_of(place, local)) == hours("2024-03-30 23:00", 62)


def test_months_that_are_filled_in_begin_where_months_do(place: Path) -> None:
    months = [f"{2015 + month // 12}-{1 + month % 12:02d}" for month in range(60)]
    with_gaps = months[:7] + months[9:30] + months[31:]
    assert dates(data_of(place, with_gaps, fill="linear")) == months


@pytest.mark.parametrize(("scale", "expected"), [(1, "2023-11-14 22:13:20"), (1000, "2023-11-14 22:13:20"), (0, "")])
def test_numbers_are_dates_if_they_count_from_1970(scale: int, expected: str, place: Path) -> None:
    numbers = [str((1_700_000_000 + 3600 * row) * scale if scale else 3600 * row) for row in range(60)]
    data = data_of(place, numbers, "timestamp")
    assert (dates(data)[0] if data.dates is not None else "") == expected


def test_without_dates_a_window_is_named_by_its_time_step(place: Path) -> None:
    data = data_of(place, [str(row * 0.5) for row in range(60)], "x")
    assert data.dates is None
    assert data.dates_of(data.splits.test) is None
    assert data.origin(0) == f"time step {W + 1}"


def test_windows_of_several_series_have_the_names_and_the_dates_of_theirs(place: Path) -> None:
    file = place / "shops.csv"
    days = [f"2024-01-{day:02d}" for day in range(1, 31)]
    lines = [f"{day},{shop},{index % 7}" for shop in ("北京", "Rome") for index, day in enumerate(days)]
    file.write_text("\n".join(["day,shop,sold", *lines]) + "\n", encoding="utf-8")
    data = Series(str(file), target="sold", window=W, horizon=H, batch_size=1)
    data.setup()
    both = torch.tensor([0, len(data.starts) - 1])
    assert data.series_of(both) == ["北京", "Rome"]
    assert data.origins(both) == [f"北京 {days[W]}", f"Rome {days[-H]}"]


def test_dates_before_1970_are_known(place: Path) -> None:
    years = [f"{year}-07-04" for year in range(1749, 1809)]
    assert dates(data_of(place, years)) == years
