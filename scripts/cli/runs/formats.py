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


def print_table(rows: Sequence[Sequence[str]], left: Sequence[int]) -> None:
    """Print rows in columns; in a terminal the last column ends where that does.

    Args:
        rows: of as many cells each, the header first.
        left: indices of the columns that are aligned left, the last one among them.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        others = sum(max(map(width_of, column)) + 2 for column in list(zip(*rows, strict=True))[:-1])
        room = max(shutil.get_terminal_size().columns - others, 10)
        rows = [[*row[:-1], shortened(row[-1], room)] for row in rows]
    print(aligned(rows, left))


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
    return f"{size:,.1f} GB"
