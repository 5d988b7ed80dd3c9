"""Excel's workbooks, as the CSV that saving their only sheet would give."""

import csv
import io
from datetime import datetime, time
from functools import lru_cache
from pathlib import Path
from typing import Any

from datamodules.errors import DataError
from datamodules.files.splits import listed

INSTALL = 'pip install -e ".[excel]" reads it, or save its table as CSV (UTF-8)'


def csv_of(path: Path) -> bytes:
    """The sheet of a workbook as CSV in UTF-8: dates in ISO's form, formulas as Excel has computed them.

    Raises:
        DataError: openpyxl is not installed, the file is damaged, or several sheets have content.
    """
    stat = path.stat()
    return _converted(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4)  # of a data set with splits; a file's head is read first, and then all of it
def _converted(path: Path, size: int, changed: int) -> bytes:
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise DataError(f"{path}: is an Excel workbook; {INSTALL}") from None
    try:
        with path.open("rb") as file:
            book = load_workbook(file, read_only=True, data_only=True)
            sheets = {sheet.title: _csv(sheet) for sheet in book.worksheets}
    except Exception as error:  # of many kinds: openpyxl names none, and what is damaged is a zip of XML
        raise DataError(f"{path}: cannot be read as an Excel workbook ({error})") from None
    filled = {title: content for title, content in sheets.items() if content.strip(b",\r\n")}
    if len(filled) != 1:
        found = f"{len(filled)} sheets with content, {listed(list(filled))}" if filled else "no content"
        raise DataError(f"{path}: has {found}; expected one sheet: save the one that is meant as CSV (UTF-8)")
    return next(iter(filled.values()))


def _csv(sheet: Any) -> bytes:
    rows = [[_text(value) for value in row] for row in sheet.iter_rows(values_only=True)]
    width = max((index + 1 for row in rows for index, text in enumerate(row) if text), default=0)
    content = io.StringIO()
    csv.writer(content).writerows(row[:width] + [""] * (width - len(row)) for row in rows if any(row))
    return content.getvalue().encode()


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    return "true" if value is True else "false" if value is False else str(value)
