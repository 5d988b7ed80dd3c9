"""A CSV file with a row for each time step, in their order; the time steps after its last rows are forecast."""

import csv
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np


def examples(path: Path, series: Any) -> Iterator[tuple[list[str], dict[str, Any], Any]]:
    """The last window of each series, and the number of each time step ahead."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        delimiter = max(",;\t|", key=file.readline().count)
        file.seek(0)
        rows_of: dict[str, list[dict[str, str]]] = {}
        for row in csv.DictReader(file, delimiter=delimiter):
            rows_of.setdefault(row[series["series"]].strip() if series["series"] else "", []).append(row)
    for name, rows in rows_of.items():
        check_order(path, rows)
        try:
            cells = [[row[column] for column in series["columns"]] for row in rows]
            if series["decimal"] == ",":
                cells = [[cell.replace(",", ".") for cell in row] for row in cells]
            window = np.array(cells, np.float64)[-series["window"] :]
            if not np.isfinite(window).all():
                raise ValueError("a value is missing or infinite")
        except (KeyError, TypeError, ValueError) as error:
            sys.exit(f"error: {path}: {error}; expected columns {', '.join(series['columns'])} of numbers")
        if len(window) < series["window"]:
            sys.exit(f"error: {path}: has {len(window)} rows, expected at least {series['window']}")
        ahead = range(1, series["horizon"] + 1)
        yield [f"{name} {len(rows) + step}".strip() for step in ahead], {"window": window[None]}, None


def check_order(path: Path, rows: list[dict[str, str]]) -> None:
    """Stop where a column of dates is not in their order."""
    for column in rows[0]:
        try:
            times = [datetime.fromisoformat(row[column]) for row in rows if "-" in row[column]]
        except ValueError:
            continue
        if times != sorted(times):
            sys.exit(f"error: {path}: the rows are not in the order of column {column}; sort them first")
