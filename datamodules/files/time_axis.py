"""The times of a table's rows: sorted, of one series or of several, with gaps told or filled."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datamodules.errors import DataError
from datamodules.files.dates import EPOCH, parsed_dates
from datamodules.files.splits import Note
from datamodules.files.table_columns import is_numeric, numbers, strings

Fill = Literal["none", "previous", "linear"]
FILLS = get_args(Fill)
HOW = "--data.fill linear (or previous)"
TIME_NAMES = ("time", "date", "datetime", "timestamp", "epoch", "日期", "时间", "年月")  # of columns of numbers
EPOCHS = (1e8, 4.2e9)  # numbers that are seconds since 1970, of 1973 to 2103; or a thousand times that, milliseconds
MONTHS = "months"
UNITS = [(86400.0, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second")]

Array = np.ndarray[Any, Any]


@dataclass
class TimeOptions:
    """How times are read.

    Args:
        series: the column that tells several series apart; found by default.
        fill: what rows that are missing, and missing values, are filled with.
        day_first: whether `02/03/2021` is in March.
        used: the columns that have values, which are no times and tell no series apart.
    """

    series: str | None
    fill: Fill
    day_first: bool | None
    used: Sequence[str]


@dataclass
class Ordered:
    """Rows in the order of time.

    Args:
        rows: of the table, one series after the other.
        seconds: of each of these rows; None where the table has no times.
        lengths: rows of each series.
        names: of the series.
        column: that tells them apart; empty where there is one series.
        dates: of each of these rows, datetime64[ms]; None where the times are no dates, but numbers or durations.
    """

    rows: Array
    seconds: Array | None
    lengths: list[int]
    names: list[str]
    column: str = ""
    dates: Array | None = None


def in_order(table: pa.Table, options: TimeOptions, where: str, note: Note) -> Ordered:
    """The rows of each series, in the order of time.

    Raises:
        DataError: several columns could tell series apart, or it is not clear what a date means.
    """
    time = _times(table, options, where)
    everything = np.arange(len(table))
    if options.series is None and time is None:
        return Ordered(everything, None, [len(table)], [""])
    seconds = time[1] if time else everything.astype(np.float64)
    dates = time[2] if time else None
    column = options.series or _telling(table, options, time[0] if time else "", seconds, where)
    if column is None:
        order = np.argsort(seconds, kind="stable")
        if (np.diff(order) < 0).any():
            note(f"{where}: its rows are not in the order of {time[0] if time else ''}; they are sorted by it")
        return Ordered(order, seconds[order], [len(table)], [""], dates=None if dates is None else dates[order])
    groups = [text or "" for text in strings(table[column])]
    code = {name: index for index, name in enumerate(dict.fromkeys(groups))}
    codes = np.array([code[name] for name in groups])
    order = np.lexsort((everything, seconds, codes))
    lengths = np.bincount(codes).tolist()
    note(f"{where}: reads {len(code)} series, told apart by {column}: {', '.join(list(code)[:5])}")
    dates = None if dates is None else dates[order]
    return Ordered(order, seconds[order] if time else None, lengths, list(code), column, dates)


def _times(table: pa.Table, options: TimeOptions, where: str) -> tuple[str, Array, Array | None] | None:
    """The name of the column of times, their seconds, and their dates if they are any; None where there is none."""
    for name in table.column_names:
        column = table[name]
        if name in options.used or column.null_count:
            continue
        if pa.types.is_temporal(column.type):
            seconds = numbers(column)
            dated = pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)
            return name, seconds, _dates(seconds) if dated else None
        named = is_numeric(column) and name.lower() in TIME_NAMES
        days = named and pc.all(pc.and_(pc.greater(column, 19000000), pc.less(column, 21010000))).as_py()  # 20210203
        if named and not days:
            return name, numbers(column), _dates_of_numbers(numbers(column))
        if pa.types.is_string(column.type) or days:
            texts = [text or "" for text in strings(column)]
            parsed = parsed_dates(texts, options.day_first, f"{where}: column {name}")
            if parsed is not None:
                return name, parsed[0], _dates(parsed[0])
    return None


def _dates(seconds: Array) -> Array:
    return (1000 * seconds).round().astype("datetime64[ms]")


def _dates_of_numbers(values: Array) -> Array | None:
    """The dates that numbers are if they count seconds or milliseconds since 1970."""
    low, high = EPOCHS
    scale = next((scale for scale in (1, 1000) if ((values >= low * scale) & (values <= high * scale)).all()), None)
    return None if scale is None else _dates(values / scale)


def date_texts(dates: Array, among: Array) -> list[str]:
    """Dates as texts: `2021`, `2021-02`, `2021-02-03` or `2021-02-03 04:05`.

    Args:
        dates: some dates.
        among: all dates, which decide how fine the texts have to be.
    """
    units = ["Y", "M", "D", "m", "s"]
    unit: Any = next((unit for unit in units if (among.astype(f"datetime64[{unit}]") == among).all()), "ms")
    return [text.replace("T", " ") for text in np.datetime_as_string(dates, unit=unit)]


def _telling(table: pa.Table, options: TimeOptions, time: str, seconds: Array, where: str) -> str | None:
    """The column by which rows of equal times differ; None where no times are equal, or no column tells them apart."""
    if not time or len(np.unique(seconds)) == len(seconds):
        return None
    found = []
    for name in table.column_names:
        column = table[name]
        if name in (time, *options.used) or pa.types.is_floating(column.type):
            continue
        codes = pc.cast(column, pa.string()).fill_null("").combine_chunks().dictionary_encode().indices.to_numpy()
        if 1 < codes.max() + 1 <= len(codes) // 2 and len(np.unique(np.stack([seconds, codes]), axis=1).T) == len(
            codes
        ):
            found.append(name)
    if len(found) > 1:
        raise DataError(
            f"{where}: several rows have equal times; which column tells the series apart? Give --data.series; "
            f"it may be {' or '.join(found)}"
        )
    return found[0] if found else None


def regular(
    values: Array, ordered: Ordered, fill: Fill, where: str, note: Note
) -> tuple[Array, list[int], Array | None]:
    """The values of each series at equal steps of time, as far as that is asked for; else gaps are told.

    Args:
        values: (N, C) in the order of time.
        ordered: the times.
        fill: what is filled in.
        where: the table, for messages.
        note: reports gaps and repeated times.

    Returns:
        (M, C) values, the length of each series, and the (M,) dates where there are dates.
    """
    parts, dates, filled, longer, repeated, usual = [], [], 0, 0, 0, ""
    ends = np.cumsum(ordered.lengths)
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        part = values[start:end]
        moments = None if ordered.dates is None else ordered.dates[start:end]
        if ordered.seconds is not None and len(part) > 2:
            axis, unit, usual = _axis(ordered.seconds[start:end])
            steps = np.diff(axis)
            longer += int((steps > 1.5 * unit).sum())
            repeated += int((steps == 0).sum())
            if fill != "none" and ((steps == 0) | (steps > 1.5 * unit)).any():
                places = np.round((axis - axis[0]) / unit).astype(int)
                part = _on_grid(part, places)
                if moments is not None:
                    moments = _dates_on_grid(moments, places, axis if usual.endswith(MONTHS) else None)
        missing = int(np.isnan(part).sum())
        if fill != "none" and missing:
            part, filled = _filled(part, fill), filled + missing
        parts.append(part)
        dates += [] if moments is None else [moments]
    if filled:
        note(f"{where}: filled in {filled} values ({fill}); {longer} steps were longer than {usual}")
    elif fill == "none" and longer:
        note(f"{where}: {longer} steps of time are longer than the usual {usual}; {HOW} fills them")
    if repeated:
        done = "their values are averaged" if fill != "none" else f"{HOW} averages their values"
        note(f"{where}: {repeated} times are repeated; {done}")
    return np.concatenate(parts), [len(part) for part in parts], np.concatenate(dates) if dates else None


def _axis(seconds: Array) -> tuple[Array, float, str]:
    """Times in units of which the usual step is a multiple, that step, and its name; months where days are equal."""
    # not datetime.fromtimestamp, which on Windows knows no time before 1970
    moments = [EPOCH + timedelta(seconds=second) for second in seconds] if abs(seconds).max() < 1e11 else []
    if moments and len({(moment.day, moment.hour) for moment in moments}) == 1 and np.median(np.diff(seconds)) > 2e6:
        axis = np.array([12 * moment.year + moment.month for moment in moments], float)
        unit = _usual(axis)
        return axis, unit, f"{unit:g} {MONTHS}"
    unit = _usual(seconds)
    size, name = next(((size, name) for size, name in UNITS if unit >= size), (1.0, "second"))
    return seconds, unit, f"{unit / size:g} {name}{'s' * (unit != size)}"


def _usual(axis: Array) -> float:
    """The step that occurs most."""
    steps, counts = np.unique(np.diff(axis)[np.diff(axis) > 0], return_counts=True)
    return float(steps[counts.argmax()]) if len(steps) else 1.0


def _dates_on_grid(dates: Array, places: Array, axis: Array | None) -> Array:
    """The date at each of the equal steps: that of its row, or where there is none, between those of its neighbours.

    Args:
        dates: of the rows.
        places: of the rows on the grid.
        axis: the months of the rows, where steps are equal in months; else None.
    """
    every, (known, rows) = np.arange(places[-1] + 1), np.unique(places, return_index=True)
    if axis is not None:
        months = np.interp(every, known, axis[rows]).round().astype(int) - 12 * 1970 - 1
        first = dates[0] - dates[0].astype("datetime64[M]")
        return (np.datetime64("1970-01", "M") + months).astype("datetime64[ms]") + first
    origin = dates[0]
    between = np.interp(every, known, (dates[rows] - origin).astype(np.int64).astype(np.float64))
    return origin + between.round().astype("timedelta64[ms]")


def _on_grid(values: Array, places: Array) -> Array:
    """Values at equal steps, NaN where there are none; those of one place are averaged."""
    present = ~np.isnan(values)
    sums, counts = np.zeros((places[-1] + 1, values.shape[1])), np.zeros((places[-1] + 1, values.shape[1]))
    np.add.at(sums, places, np.where(present, values, 0))
    np.add.at(counts, places, present)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _filled(values: Array, fill: Fill) -> Array:
    """Values without NaN: the one before, or between those before and after; at the beginning the first."""
    columns = []
    for column in values.T:
        known = np.flatnonzero(~np.isnan(column))
        if len(known) == 0:
            columns.append(column)
        elif fill == "linear":
            columns.append(np.interp(np.arange(len(column)), known, column[known]))
        else:
            columns.append(column[known[np.maximum(np.searchsorted(known, np.arange(len(column)), "right") - 1, 0)]])
    return np.stack(columns, axis=1)
