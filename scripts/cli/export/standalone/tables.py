"""Rows of a CSV file with a header, each cell a number, a category or a date, as in training."""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scripts.cli.export.standalone.cells import features_of


def examples(path: Path, table: Any) -> Iterator[tuple[list[str], dict[str, Any], Any]]:
    """The features of each row, scaled and encoded as in training."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        names = None if table["header"] else table["inputs"]
        delimiter = max(",;\t|", key=file.readline().count)
        file.seek(0)
        rows = csv.DictReader(file, names, delimiter=delimiter)
        for number, row in enumerate(rows, start=1):
            try:
                yield [str(number)], {"features": np.array([features_of(row, table)], np.float32)}, None
            except (KeyError, ValueError, AttributeError) as error:
                sys.exit(f"error: {path}: row {number}: {error}; expected columns {', '.join(table['inputs'])}")
