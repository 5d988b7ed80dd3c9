"""Dates in the columns of a table: as times, or as the parts that matter for what they are to predict."""

from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datamodules.errors import DataError
from datamodules.files.dates import parsed_dates, pattern_of
from datamodules.files.layout import SAMPLE_ROWS
from datamodules.files.splits import Note
from datamodules.files.table_columns import distinct_strings

Dates = Literal["elapsed", "parts", "none"]
DATES = get_args(Dates)
PARTS = {"year": pc.year, "month": pc.month, "day": pc.day, "weekday": pc.day_of_week, "hour": pc.hour}

Orders = dict[str, bool | None]  # whether the day comes first, of each column of dates


def with_times(
    table: pa.Table, orders: Orders | None, day_first: bool | None, target: str, where: str, note: Note
) -> tuple[pa.Table, Orders]:
    """The table with texts that are dates as times, and how these were read.

    Args:
        table: with missing values as null.
        orders: how they were read in training; None to find them.
        day_first: whether `02/03/2021` is in March; None to decide it.
        target: the column that is left as it is.
        where: the table, for messages.
        note: reports which columns are dates.

    Raises:
        DataError: a column held dates in training and other texts now, or it is not clear which date is meant.
    """
    found: Orders = {}
    for name in table.column_names if orders is None else orders:
        column = table[name] if name in table.column_names else None
        if column is None or name == target:
            continue
        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            found[name] = day_first  # as Arrow has read it; in another file it may be written differently
        if not pa.types.is_string(column.type):
            continue
        first = next((text for text in column.slice(0, SAMPLE_ROWS).to_pylist() if text), "")
        if orders is None and pattern_of(first.strip()) is None:
            continue  # of a million texts, none but the first is looked at
        texts, codes = distinct_strings(column)
        known = None if orders is None else orders[name]
        order = day_first if known is None else known
        parsed = parsed_dates(texts, order, f"{where}: column {name}") if texts else None
        if parsed is None:
            if orders is not None and texts:
                raise DataError(f"{where}: column {name} held dates in training, now it holds {texts[0]}")
            continue
        seconds, found[name] = parsed
        values = pa.array(np.append(seconds, 0).astype(np.int64)[codes], mask=codes < 0)
        table = table.set_column(table.column_names.index(name), name, pc.cast(values, pa.timestamp("s")))
        if orders is None:
            note(f"{where}: column {name} is read as dates")
    return table, found if orders is None else orders


def as_features(table: pa.Table, dates: Dates, target: str) -> pa.Table:
    """The table with each date as the time that has elapsed, as its parts, or without it."""
    if dates == "elapsed":
        return table
    columns = {}
    for name in table.column_names:
        column = table[name]
        is_date = pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)
        if name == target or not is_date:
            columns[name] = column
        elif dates == "parts":
            moments = pc.cast(column, pa.timestamp("s"), safe=False)
            columns.update({f"{name} {part}": take(moments) for part, take in PARTS.items()})
    return pa.table(columns)
