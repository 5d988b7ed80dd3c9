"""What columns and other parts of data were taken for, in words."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor

from datamodules.checking.text_table import rounded, shortened
from datamodules.files.table_columns import distinct_strings, is_numeric, numbers
from datamodules.loading.sampling import chosen

FEW_VALUES = 4
LENGTH = 20  # of a value


def column_fact(column: pa.ChunkedArray, role: str = "") -> str:
    """What is in a column: numbers with their range, or texts with their most frequent values.

    Args:
        column: the column.
        role: what it is besides: the target, or left out.
    """
    missing = column.null_count
    if is_numeric(column):
        values = numbers(column)
        values = values[~np.isnan(values)]
        missing = len(column) - len(values)
        text = (
            f"{_kind(column)} {values.min():.6g} to {values.max():.6g}, mean {rounded(_mean(values))}"
            if len(values)
            else ""
        )
        if pa.types.is_temporal(column.type) and len(values):
            text = f"dates from {column.combine_chunks().drop_null()[int(values.argmin())]} on"
    else:
        texts, codes = distinct_strings(column)
        counts = np.bincount(codes[codes >= 0], minlength=len(texts))
        top = sorted(range(len(texts)), key=lambda code: -counts[code])[:FEW_VALUES]
        frequent = ", ".join(f"{shortened(texts[code], LENGTH)} ({counts[code]:,})" for code in top)
        more = f" and {len(texts) - len(top):,} more" if len(texts) > len(top) else ""
        unique = len(texts) > 1 and counts.max() == 1
        text = (
            f"{len(texts):,} different texts, such as {shortened(texts[0], 40)}"
            if unique
            else f"texts: {frequent}{more}"
        )
    empty = [f"{missing:,} missing"] if missing else []
    return ": ".join([role] * bool(role) + [", ".join([text] * bool(text) + empty)])


def _mean(values: np.ndarray[Any, Any]) -> float:
    mean = float(values.mean())
    return 0.0 if abs(mean) < 1e-9 * np.ptp(values) else mean  # of standardised numbers, but for rounding


def tokens_fact(lengths: Tensor, max_length: int) -> str:
    """How long texts are, and how many are cut off.

    Args:
        lengths: tokens of each.
        max_length: what is longer is cut off at it.
    """
    cut = int((lengths >= max_length).sum())
    ends = f"; {cut:,} of {len(lengths):,} are cut off there (--data.max_length)" if cut else ""
    return f"texts of {int(lengths.min())} to {int(lengths.max())} tokens, median {int(lengths.median())}{ends}"


def sizes_fact(sizes: Tensor, what: str) -> str:
    """How many of something there are in each example."""
    return f"{int(sizes.min()):,} to {int(sizes.max()):,} {what}, median {int(sizes.median()):,}"


def texts_at(texts: Iterable[str], rows: Tensor) -> list[str]:
    """The texts at these positions, in this order; they need not be in memory."""
    order = rows.argsort()
    found = list(chosen(texts, rows))
    return [found[place] for place in order.argsort().tolist()]


def _kind(column: pa.ChunkedArray) -> str:
    if pa.types.is_boolean(column.type):
        return "true or false as numbers"
    return "whole numbers" if pa.types.is_integer(column.type) else "numbers"


def row_shown(table: pa.Table, row: int, target: str, most: int = 8) -> tuple[str, str]:
    """The cells of a row, and its target."""
    names = [name for name in table.column_names if name != target]
    cells = [f"{name}={shortened(_cell(table[name][row]), LENGTH)}" for name in names[:most]]
    return ", ".join(cells + ["…"] * (len(names) > most)), _cell(table[target][row])


def _cell(value: pa.Scalar) -> str:
    content = value.as_py()
    return "" if content is None else f"{content:g}" if isinstance(content, float) else str(content)
