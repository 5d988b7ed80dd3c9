"""Columns of a table: as numbers or texts, their digests, and their encoding as features."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor
from xxhash import xxh3_64

from datamodules.errors import DataError
from datamodules.files.written_numbers import is_written_number
from datamodules.storage.fingerprint import hash_numbers

BLOCK = 8192  # rows
MAX_CATEGORIES = 32  # of a column
ROWS_PER_OCCURRENCE = 200  # a category that is rarer would only be memorised


def strings(column: pa.ChunkedArray) -> list[str | None]:
    """The column's values as text, stripped of whitespace and single quotes."""
    texts, codes = distinct_strings(column)
    return [None if code < 0 else texts[code] for code in codes.tolist()]


def distinct_strings(column: pa.ChunkedArray) -> tuple[list[str], np.ndarray[Any, np.dtype[np.int64]]]:
    """Texts as `strings` returns them, and for each row the index of its text among them; -1 where it is missing.

    The texts are in the order in which they first occur; several may be equal, for they differed in whitespace.
    """
    if not pa.types.is_integer(column.type) and not pa.types.is_boolean(column.type):  # each is written in one way
        column = pc.cast(column, pa.string())
    encoded = column.combine_chunks().dictionary_encode()
    dictionary = pc.utf8_trim_whitespace(pc.cast(encoded.dictionary, pa.string()))
    texts = [_unquoted(value) for value in dictionary.to_pylist()]
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return texts, codes


def counted_strings(column: pa.ChunkedArray) -> Counter[str]:
    """How often each text occurs, in the order in which they first occur; of missing ones the empty text."""
    texts, codes = distinct_strings(column)
    missing, *sizes = np.bincount(codes + 1, minlength=len(texts) + 1).tolist()
    counts: Counter[str] = Counter()
    for text, size in zip(texts, sizes, strict=True):
        counts[text] += size
    counts[""] += missing
    return +counts  # without those of which there is none


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] == "'" else value


def numbers(column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The column as float64, NaN where a value is missing; dates in seconds, times of day in microseconds."""
    if pa.types.is_temporal(column.type):
        time, duration = pa.types.is_time(column.type), pa.types.is_duration(column.type)
        unit = pa.time64("us") if time else pa.duration("s") if duration else pa.timestamp("s")
        column = pc.cast(pc.cast(column, unit, safe=False), pa.int64())
    return np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)


def cell_codes(column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """For each cell the index of its value among the column's, in the order in which these first occur."""
    codes = column.combine_chunks().dictionary_encode().indices.fill_null(-1)
    return codes.to_numpy().astype(np.uint64)


def cell_hashes(column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """A hash of each cell, equal for equal ones: of a floating point number its bits, with one zero and one NaN."""
    if not pa.types.is_floating(column.type):
        return cell_codes(column)
    values = numbers(column) + 0.0  # of both zeros the positive one
    values[np.isnan(values)] = np.nan
    return values.view(np.uint64)


class Column:
    """How one column becomes features; its state consists of plain types, for a checkpoint."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    @classmethod
    def fitted(cls, name: str, column: pa.ChunkedArray, rows: Tensor) -> "Column | None":
        """Fit to the rows of the training split; None for a column without values, or whose values hardly recur."""
        column = column.take(pa.array(rows.numpy()))
        if is_numeric(column):
            values = numbers(column)
            present = values[~np.isnan(values)]
            if len(present) == 0:
                return None
            with np.errstate(invalid="ignore"):  # an infinity: encode() refuses it, and names its row
                mean, std = float(present.mean()), float(present.std())
            state = {"mean": mean, "std": std if std > 0 else 1.0, "missing": len(present) < len(values)}
            return cls({"name": name, "kind": "number", **state})
        counts = counted_strings(column)
        if len(counts) > max(MAX_CATEGORIES, len(column) // 2):
            return None  # names, ticket numbers, free text: nearly unique in each row
        frequent = [value for value in sorted(counts) if counts[value] >= len(column) / ROWS_PER_OCCURRENCE]
        if not frequent:
            return None
        top = sorted(frequent, key=lambda value: -counts[value])[:MAX_CATEGORIES]
        return cls({"name": name, "kind": "category", "values": sorted(top)})

    @property
    def features(self) -> list[str]:
        """Names of the features that the column becomes."""
        name = self.state["name"]
        if self.state["kind"] == "number":
            return [name, f"{name} missing"] if self.state["missing"] else [name]
        return [f"{name}={value or 'missing'}" for value in self.state["values"]]

    def encode(self, column: pa.ChunkedArray, where: str) -> list[NDArray[Any]]:
        """The numbers of all rows, and which are missing; or of categories their indices, -1 of an unknown one."""
        name = self.state["name"]
        if self.state["kind"] == "number":
            if not is_numeric(column):
                texts: Sequence[str | None] = strings(column)
                row = next((row for row, text in enumerate(texts) if text and not is_written_number(text)), 0)
                found = f"in row {row + 1} it holds {texts[row]}"
                raise DataError(f"{where}: column {name} held numbers in training, {found}")
            values = numbers(column)
            refuse_infinity(values, name, where)
            missing = np.isnan(values)
            scaled = np.where(missing, 0.0, (values - self.state["mean"]) / self.state["std"])
            return [scaled.astype(np.float32), missing] if self.state["missing"] else [scaled.astype(np.float32)]
        code = {value: index for index, value in enumerate(self.state["values"])}
        texts, places = distinct_strings(column)
        return [np.array([code.get(text, -1) for text in [*texts, ""]], np.int8)[places]]  # of MAX_CATEGORIES


def encoded(table: pa.Table, states: Sequence[dict[str, Any]], where: str, index: Tensor | None = None) -> Tensor:
    """The features of columns side by side, (N, F); those of a category that is unknown from training are zeros.

    Args:
        table: that has them.
        states: of the columns.
        where: the table, for messages.
        index: (N,) its rows; all of them by default. No more than a column of them is copied at once.

    Raises:
        DataError: a column of numbers has texts, or an infinity.
    """
    columns = [Column(state) for state in states]
    rows = None if index is None else pa.array(index.numpy())
    size = len(table) if rows is None else len(rows)
    cells = (table[column.state["name"]] for column in columns)
    parts = [
        column.encode(of if rows is None else of.take(rows), where) for column, of in zip(columns, cells, strict=True)
    ]
    ends = [*accumulate((len(column.features) for column in columns), initial=0)]
    features = np.zeros((size, ends[-1]), np.float32)
    for start in range(0, size, BLOCK):  # whose features stay in the processor's cache until all columns are there
        block = features[start : start + BLOCK]
        for column, of_column, first in zip(columns, parts, ends[:-1], strict=True):
            some = [part[start : start + BLOCK] for part in of_column]
            if column.state["kind"] == "number":
                for place, values in enumerate(some, first):
                    block[:, place] = values
            else:
                known = np.flatnonzero(some[0] >= 0)
                block[known, first + some[0][known]] = 1
    return torch.from_numpy(features)


def refuse_infinity(values: NDArray[np.float64], name: str, where: str) -> None:
    """Refuse a column of numbers with an infinity.

    Raises:
        DataError: it has one.
    """
    infinite = np.isinf(values)
    if infinite.any():
        row = int(infinite.argmax())
        raise DataError(f"{where}: row {row + 1}, column {name}: {values[row]} is not a finite number")


def id_column(table: pa.Table) -> str | None:
    """The column of a table's ids: one that is called so, and whose values are all different."""
    for name in table.column_names:
        if re.search(r"(^|[^a-zA-Z])id$|[a-z]I[dD]$|^编号$|^序号$", name if name != name.upper() else name.lower()):
            ids = [value for value in strings(table[name]) if value is not None]
            if len(set(ids)) == len(table):
                return str(name)
    return None


def counting_columns(table: pa.Table) -> set[str]:
    """The columns that identify the rows of a table: that of its ids, and those that count the rows."""
    found = {name for name in table.column_names if _counts(table[name])}
    named = id_column(table)
    return found | ({named} if named is not None else set())


def _counts(column: pa.ChunkedArray) -> bool:
    if not pa.types.is_integer(column.type) or column.null_count or len(column) < 3:
        return False
    return bool((np.diff(numbers(column)) == 1).all())


def is_numeric(column: pa.ChunkedArray) -> bool:
    """Whether the column has numbers, dates or booleans; one without any value counts as numeric."""
    checks = ("integer", "floating", "decimal", "boolean", "temporal", "null")
    return any(getattr(pa.types, f"is_{name}")(column.type) for name in checks)


def hash_strings(column: pa.ChunkedArray) -> str:
    """A digest of a column as text: the same whatever its chunks, offsets and dictionary are."""
    sizes, letters = xxh3_64(), xxh3_64()
    for chunk in pc.cast(column, pa.large_string()).chunks:
        if len(chunk) == 0:
            continue
        text = chunk.fill_null("")  # the memory of a missing value is undefined
        _, offsets, content = text.buffers()
        ends = np.frombuffer(offsets, np.int64)[text.offset : text.offset + len(text) + 1]
        sizes.update(np.where(chunk.is_null().to_numpy(zero_copy_only=False), -1, np.diff(ends)).data)
        if content is not None:
            letters.update(memoryview(content)[int(ends[0]) : int(ends[-1])])
    return f"{sizes.hexdigest()}{letters.hexdigest()}"


def column_digest(column: pa.ChunkedArray) -> str:
    """A digest of the values of a column as they are read."""
    return hash_numbers(numbers(column)) if is_numeric(column) else hash_strings(column)


def column_called(chosen: str | int, table: pa.Table, option: str, where: object) -> str:
    """The name of the column that a name or index refers to.

    Args:
        chosen: its name, or its index from 0; negative from the end.
        table: the table.
        option: the option that chose it, for the message.
        where: the source of the table, for the message.

    Raises:
        DataError: there is no such column.
    """
    names = table.column_names
    if str(chosen) in names:
        return str(chosen)
    try:
        return str(names[int(chosen)])
    except (ValueError, IndexError):
        raise DataError(f"{option} {chosen}: {where} has no such column; it has {', '.join(names)}") from None
