"""The file of a test's predictions: every example, the most wrong first."""

import io
import json
from pathlib import Path
from typing import Any

from lightning_modules.tasks.results.outcomes import Outcomes
from lightning_modules.tasks.results.results import Results
from scripts.cli.run.files import write_whole
from scripts.cli.spreadsheet import Sheet

NAME = "test_predictions.csv"
DIGITS = 6  # significant ones, of a number


def write_predictions(path: Path, results: Results, outcomes: Outcomes) -> None:
    """Write a row for each example of the test split, worst first.

    The columns are the example's position in the test split, where it is from, what the model was given where that can
    be written, the target, the prediction, and what the type of problem has besides.

    Args:
        path: of the file.
        results: of the type of problem.
        outcomes: of the test.
    """
    ordered = outcomes.take(outcomes.worst())
    inputs = ordered.inputs()
    columns: dict[str, list[Any]] = {
        "index": ordered.positions.tolist(),
        "name": ordered.names(),
        **({"input": inputs} if any(inputs) else {}),
        **results.rows(ordered),
    }
    text = io.StringIO()
    sheet = Sheet(text, [*columns])
    for row in zip(*columns.values(), strict=True):
        sheet.write(dict(zip(columns, map(_cell, row), strict=True)))
    write_whole(path, text.getvalue())


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return json.dumps([float(f"{each:.{DIGITS}g}") for each in value])
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else value
