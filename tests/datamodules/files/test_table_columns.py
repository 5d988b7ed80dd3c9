"""Columns of a table, computed from their different values: as if from each cell."""

import datetime
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch

from datamodules.errors import DataError
from datamodules.files.table_columns import Column, counted_strings, encoded, strings

COLUMNS: list[list[Any]] = [
    [" a", "a", None, "b\u3000", "'b'", "''", "'", "", "a", "\tb"],
    [1, -3, None, 1, 2**62],
    [True, None, False, True],
    [0.0, -0.0, 1.5, None, float("nan"), 1e300],
    [datetime.date(2024, 2, 29), None, datetime.date(1900, 1, 1)],
    [None, None],
]


def cells_of(column: list[Any]) -> pa.ChunkedArray:
    whole = pa.array(column)
    return pa.chunked_array([whole[:2], whole[2:2], whole[2:]])


def plain(column: list[Any]) -> list[str | None]:
    """Each cell as a text of its own."""
    texts = [pc.cast(pa.scalar(cell, pa.array(column).type), pa.string()).as_py() for cell in column]
    stripped = [None if text is None else text.strip() for text in texts]
    return [text[1:-1] if text and len(text) > 1 and text[0] == text[-1] == "'" else text for text in stripped]


@pytest.mark.parametrize("column", COLUMNS)
def test_texts_are_those_of_each_cell(column: list[Any]) -> None:
    texts = plain(column)
    assert strings(cells_of(column)) == texts
    counts = counted_strings(cells_of(column))
    assert counts == Counter(text or "" for text in texts)
    first = list(dict.fromkeys(text for text in texts if text))
    assert [text for text in counts if text] == first, "in the order in which they first occur"


@pytest.mark.parametrize("index", [None, [3, 0, 3]])
def test_features_are_those_of_each_row(index: list[int] | None) -> None:
    table = pa.table(
        {
            "number": cells_of([1.0, None, 4.0, float("nan"), -2.0]),
            "whole": cells_of([1, 2, 3, 4, 5]),
            "kind": cells_of(["a", "b", None, "other", " b"]),
        }
    )
    states: list[dict[str, Any]] = [
        {"name": "kind", "kind": "category", "values": ["", "a", "b"]},
        {"name": "number", "kind": "number", "mean": 0.5, "std": 3.0, "missing": True},
        {"name": "whole", "kind": "number", "mean": 2.0, "std": 0.7, "missing": False},
    ]
    expected = []
    for row in range(5) if index is None else index:
        text, number, whole = (table[name][row].as_py() for name in ("kind", "number", "whole"))
        missing = number is None or number != number
        kinds = [(text or "").strip() == value for value in states[0]["values"]]
        expected.append([*kinds, 0.0 if missing else (number - 0.5) / 3.0, missing, (whole - 2.0) / 0.7])
    rows = None if index is None else torch.tensor(index)
    found = encoded(table, states, "here", rows)
    assert torch.equal(found, torch.tensor(np.array(expected, np.float32)))


def test_an_infinity_is_refused_with_its_row() -> None:
    state = {"name": "number", "kind": "number", "mean": 0.0, "std": 1.0, "missing": False}
    with pytest.raises(DataError, match=r"here: row 3, column number: -inf is not a finite number"):
        encoded(pa.table({"number": cells_of([1.0, 2.0, -np.inf])}), [state], "here")


def test_one_column_is_encoded_for_a_network_without_rows() -> None:
    state = {"name": "kind", "kind": "category", "values": ["a"]}
    assert encoded(pa.table({"kind": cells_of(["a", "b"])}), [state], "here", torch.arange(0)).shape == (0, 1)
    assert Column(state).features == ["kind=a"]
