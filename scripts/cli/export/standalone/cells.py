"""The cells of a row as features: numbers scaled, categories one-hot, dates as numbers."""

import math
from datetime import UTC, datetime
from typing import Any


def features_of(row: dict[str, str], table: Any) -> list[float]:
    """The features of a row."""
    if None in row or None in row.values():
        raise ValueError("has more or fewer cells than the header")
    cells: dict[str, Any] = {name: (row[name] or "").strip() for name in row}
    for name in table["dates"]["columns"]:
        cells |= {f"{name} {part}": cells[name] for part in table["dates"]["parts"]}
        if cells[name] not in table["missing"]:
            time = datetime.fromisoformat(cells[name])
            time = time if time.tzinfo else time.replace(tzinfo=UTC)
            parts = {part: getattr(time, part) for part in ("year", "month", "day", "hour")}
            parts["weekday"], cells[name] = time.weekday(), time.timestamp()
            cells |= {f"{name} {part}": parts[part] for part in table["dates"]["parts"]}
    features: list[float] = []
    for column in table["columns"]:
        cell = cells[column["name"]]
        if column["kind"] == "category":
            cell = cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] == "'" else cell
            cell = "" if cell in table["missing"] and cell not in column["values"] else cell
            features += [float(cell == value) for value in column["values"]]
            continue
        missing = cell in table["missing"] or cell in table["missing_numbers"]
        value = column["mean"] if missing else number_of(cell, table["decimal"])
        features += [(value - column["mean"]) / column["std"], *([float(missing)] * column["missing"])]
    return features


def number_of(cell: Any, decimal: str) -> float:
    """A number as computers write it, or with a decimal comma where training had one."""
    words = {"true": 1.0, "false": 0.0}
    text = str(cell).lower()
    value = words[text] if text in words else float(text.replace(",", ".") if decimal == "," else text)
    if not math.isfinite(value):
        raise ValueError(f"{cell} is not a finite number")
    return value
