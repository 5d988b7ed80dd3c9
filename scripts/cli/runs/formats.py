"""How runs are written: a table for people, CSV and JSON for programs."""

import json
import math
import shutil
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from datamodules.checking.text_table import shortened, width_of
from datamodules.files.paths import printable
from scripts.cli.errors import UsageError, did_you_mean
from scripts.cli.spreadsheet import Sheet
from scripts.cli.text_table import aligned

LEAST = 8  # columns of a terminal for the last column of a table
FORMATS = ("table", "csv", "json")


def check_format(given: str | None) -> str:
    """The format that `--format` names.

    Raises:
        UsageError: there is none of that name.
    """
    if given is not None and given not in FORMATS:
        raise UsageError(f"--format {given}: expected {', '.join(FORMATS)}{did_you_mean(given, FORMATS)}")
    return given or "table"


def print_json(content: Any) -> None:
    """Print a value as JSON; what JSON cannot represent becomes null."""
    print(json.dumps(_plain(content), indent=2, ensure_ascii=False, default=str))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_csv(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Print rows as CSV that a spreadsheet computes nothing of."""
    sheet = Sheet(sys.stdout, columns)
    for row in rows:
        sheet.write(row)


def print_table(rows: Sequence[Sequence[str]], left: Sequence[str], expendable: Sequence[str]) -> None:
    """Print rows in columns; in a terminal, only as many as it is wide.

    Args:
        rows: of as many cells each, the header first.
        left: headers of the columns that are aligned left, the last one among them.
        expendable: headers of those that a narrow terminal goes without, the first of them first.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        rows, dropped = fitted(rows, width, expendable)
        print(aligned(rows, [index for index, header in enumerate(rows[0]) if header in left]))
        if dropped:
            print(shortened(f"left out, for want of width: {', '.join(dropped)}", width), file=sys.stderr)
        return
    print(aligned(rows, [index for index, header in enumerate(rows[0]) if header in left]))


def fitted(
    rows: Sequence[Sequence[str]], width: int, expendable: Sequence[str]
) -> tuple[list[Sequence[str]], list[str]]:
    """Rows of a width, and the headers of the columns that are left out; the last column is cut off where it ends.

    Args:
        rows: of as many cells each, the header first.
        width: in columns of a terminal.
        expendable: headers of those that may be left out, the first of them first.
    """
    columns = list(zip(*rows, strict=True))
    dropped: list[str] = []

    def room() -> int:
        return width - sum(max(map(width_of, column)) + 2 for column in columns[:-1])

    for header in expendable:
        if room() >= LEAST:
            break
        dropped += [column[0] for column in columns if column[0] == header]
        columns = [column for column in columns if column[0] != header]
    last = [shortened(cell, max(room(), LEAST)) for cell in columns[-1]]
    return list(zip(*columns[:-1], last, strict=True)), dropped


def score(value: float | None) -> str:
    """A metric's value; empty where there is none."""
    return "" if value is None else f"{value:.4g}"


def duration(seconds: float | None) -> str:
    """A time as minutes and seconds, or hours, minutes and seconds; empty where there is none."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def moment(seconds: float | None) -> str:
    """A time since 1970 as date and time of day here; empty where there is none."""
    return "" if seconds is None else datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


def setting(value: Any) -> str:
    """A setting's value as it is typed."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, bool | list | dict | None) else str(value)


def settings_text(settings: dict[str, Any]) -> str:
    """Settings on one line."""
    return " ".join(f"{name}={setting(value)}" for name, value in settings.items())


def memory(size: float) -> str:
    """A number of bytes."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} GB" if size < 1000 else f"{size:,.0f} GB"
