"""CSV files that a person opens in a spreadsheet: what others wrote is shown there, and never computed."""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from scripts.cli.run.files import write_whole

SIGNS = "=+\\-@＝＋－＠"  # what begins so is a formula; full-width signs too, where people type them
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(inf|infinity|nan)", re.ASCII | re.IGNORECASE)
# At the beginning, or behind what separates cells or rows wherever a comma does not.
FORMULA = re.compile(
    rf"^(?=[\s\x00-\x1f\u200b-\u200f\ufeff]*[{SIGNS}]|[\t\r\n\x00])|(?<=[;\t\r\n])(?=[\s\ufeff]{{0,20}}[{SIGNS}])"
)


def cell(value: Any) -> Any:
    """The value as a spreadsheet may see it: an apostrophe comes before each sign that would begin a formula.

    Numbers, and texts that are numbers, are unchanged. To a program that reads the file the apostrophe is part of the
    text, which is unchanged in JSON lines.
    """
    if not isinstance(value, str) or NUMBER.fullmatch(value):
        return value
    return FORMULA.sub("'", value)


class Sheet:
    """A CSV file with a header.

    Args:
        file: to write to.
        columns: their names, and the keys of each row.
    """

    def __init__(self, file: TextIO, columns: Sequence[str]) -> None:
        self.file = file
        self.columns = columns
        self._write(columns)

    def write(self, row: dict[str, Any]) -> None:
        """Write a row."""
        assert row.keys() <= {*self.columns}, "every row has the first one's columns"
        self._write([row.get(column) for column in self.columns])

    def _write(self, values: Sequence[Any]) -> None:
        self.file.write(",".join("" if value is None else _field(str(cell(value))) for value in values) + "\n")


def _field(text: str) -> str:
    """The text, in quotes if it needs them (a carriage return does, which Python's csv leaves bare)."""
    doubled = text.replace('"', '""')
    return f'"{doubled}"' if re.search('[",\r\n]', text) else text


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write a CSV file, complete or not at all; its columns are the keys of the first row."""
    text = io.StringIO()
    sheet = Sheet(text, list(rows[0]))
    for row in rows:
        sheet.write(row)
    write_whole(path, text.getvalue())
