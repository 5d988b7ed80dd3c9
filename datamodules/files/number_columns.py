"""Columns of a table that hold numbers as people write them, all read in one way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from datamodules.errors import DataError
from datamodules.files.layout import SAMPLE_ROWS
from datamodules.files.splits import listed
from datamodules.files.written_numbers import (
    SIGNS,
    Decimal,
    converted,
    decimal_of,
    distinct,
    fits,
    is_written_number,
    plain,
)

FEW_TEXTS = 0.1  # of a column's distinct values: so few that are no numbers, or one, are told
BY_DELIMITER: dict[str, Decimal] = {";": ",", ",": "."}
_DECIMAL = b"decimal"  # in the table's metadata


def with_numbers(
    table: pa.Table,
    path: Path,
    delimiter: str,
    stated: Decimal | None,
    kept: frozenset[str],
    fitted: bool,
    again: Callable[[frozenset[str]], pa.Table] | None,
) -> tuple[pa.Table, list[str]]:
    """The table with texts that are numbers converted, and what was converted, in words.

    Args:
        table: as Arrow has read it, so that `1.500` is one and a half.
        path: its file, for messages.
        delimiter: of the file, which tells the decimal sign where the numbers do not.
        stated: the decimal sign, if it is known.
        kept: columns that stay texts.
        fitted: whether training has read such a table: then numbers as Arrow reads them are what it had.
        again: reads the table with some columns as texts; None where a number is stored as such, and is certain.

    Returns:
        The table, which states its decimal sign (see `stated_decimal`) where there was one to decide.

    Raises:
        DataError: a column can be read in two ways.
    """
    columns, notes = _written(table, kept)
    plains = {name: [plain(text) for text in texts] for name, texts in columns.items()}
    found = decimal_of(list(plains.values()))
    decimal = stated or found
    if decimal is None:
        may_be_thousands = delimiter == ";" and not fitted
    else:  # a file to predict whose delimiter is a comma has hardly decimal commas, unless others tell so
        may_be_thousands = decimal == "," and (found == "," or delimiter != "," or not fitted)
    if again and may_be_thousands and (names := _with_three_decimals(table)):
        raw = again(names)
        for name in names:
            texts = distinct(raw[name])
            if all(fits(plain(text), ",") for text in texts):
                table = table.set_column(table.column_names.index(name), name, raw[name])
                columns[name], plains[name] = texts, [plain(text) for text in texts]
    certain = decimal
    decimal = decimal or BY_DELIMITER.get(delimiter)
    if certain is None and _has_points(table, columns):
        decimal = certain = "."
    for name, cells in plains.items():
        marked = any("," in cell or "." in cell for cell in cells)
        both = marked and all(fits(cell, ".") and fits(cell, ",") for cell in cells)
        if both and (decimal is None or (certain is None and delimiter == ";" and "." in "".join(cells))):
            raise DataError(
                f"{path}: column {name}: {columns[name][0]} may be a thousand or have decimals; "
                f'give --data.decimal "." or ","'
            )
        of_column: Decimal = decimal or "."
        if not all(fits(cell, of_column) for cell in cells):
            continue
        table = table.set_column(table.column_names.index(name), name, converted(table[name], of_column))
        signs = "".join(sorted({sign for text in columns[name] for sign in text if sign in SIGNS}))
        written = [f"decimal {of_column}"] * marked + [f"without {signs}"] * bool(signs)
        if written:
            notes.append(f"column {name} is read as numbers ({', '.join(written)})")
    if decimal and any("decimal" in note for note in notes):
        table = table.replace_schema_metadata({_DECIMAL: decimal.encode()})
    return table, notes


def stated_decimal(table: pa.Table) -> Decimal | None:
    """The decimal sign by which numbers of a table were read; None where there was nothing to decide."""
    found = (table.schema.metadata or {}).get(_DECIMAL)
    return None if found is None else "," if found == b"," else "."


def _written(table: pa.Table, kept: frozenset[str]) -> tuple[dict[str, list[str]], list[str]]:
    """The distinct texts of columns that are numbers as people write them; and those that nearly are, in words."""
    columns: dict[str, list[str]] = {}
    notes: list[str] = []
    for name in table.column_names:
        if pa.types.is_string(table[name].type) and name not in kept and _seems_numeric(table[name]):
            texts = distinct(table[name])
            others = [text for text in texts if not is_written_number(text)]
            if texts and not others:
                columns[name] = texts
            elif len(others) <= max(1, FEW_TEXTS * len(texts)):
                notes.append(f"column {name} is read as text: {listed(others, 3)} are no numbers, as the others are")
    return columns, notes


def _seems_numeric(column: pa.ChunkedArray) -> bool:
    """Whether most of the first texts of a column are numbers; of millions of others none is looked at."""
    texts = distinct(column.slice(0, SAMPLE_ROWS))
    return 2 * sum(map(is_written_number, texts)) > len(texts)


def _fractions(column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The numbers of a column that are not whole, without their signs."""
    if not pa.types.is_floating(column.type):
        return np.empty(0)
    values = np.abs(column.to_numpy())
    return values[np.isfinite(values) & (values != np.floor(values))]


def _with_three_decimals(table: pa.Table) -> frozenset[str]:
    """The columns whose fractions may be thousands, such as 1.500: from one on, and with three decimals at most."""
    found = set()
    for name in table.column_names:
        fractions = _fractions(table[name])
        thousandths = fractions * 1000
        if len(fractions) and (fractions >= 1).all() and np.abs(thousandths - thousandths.round()).max() < 1e-6:
            found.add(name)
    return frozenset(found)


def _has_points(table: pa.Table, columns: dict[str, list[str]]) -> bool:
    """Whether another column has numbers with a decimal point that are no thousands."""
    return any(len(_fractions(table[name])) for name in table.column_names if name not in columns)
