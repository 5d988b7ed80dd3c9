"""Excel's workbooks, as the CSV that saving their only sheet would give."""

import csv
import io
import re
import zipfile
from collections.abc import Sequence
from datetime import datetime, time
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from datamodules.errors import DataError
from datamodules.files.splits import listed

MERGED = re.compile(rb'<mergeCell ref="([A-Z0-9:]+)"')
UNCOMPUTED = re.compile(rb'<c r="([A-Z0-9]+)"(?![^>]*t="str")[^>]*><f[^>]*(?:/>|>[^<]*</f>)(?:<v></v>|<v ?/>)?</c>')
QUOTED = re.compile(r'"[^"]*"|\\.')  # characters of a number's format that are shown as they are
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
            visible = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
            merged, uncomputed = _read_parts(file)
            sheets = {sheet.title: _csv(sheet, merged) for sheet in visible}
    except Exception as error:  # of many kinds: openpyxl names none, and what is damaged is a zip of XML
        raise DataError(f"{path}: cannot be read as an Excel workbook ({error})") from None
    if uncomputed:
        cells = f"{len(uncomputed)} formulas, such as {uncomputed[0]}"
        raise DataError(f"{path}: holds no values of {cells}; open it in Excel or LibreOffice, and save it")
    filled = {title: content for title, content in sheets.items() if content.strip(b",\r\n")}
    if len(filled) != 1:
        found = f"{len(filled)} sheets with content, {listed(list(filled))}" if filled else "no content"
        raise DataError(f"{path}: has {found}; expected one sheet: save the one that is meant as CSV (UTF-8)")
    return next(iter(filled.values()))


def _read_parts(file: IO[bytes]) -> tuple[list[str], list[str]]:
    """The ranges of merged cells, and the cells of formulas whose values were not computed; all but one are empty."""
    merged: list[str] = []
    uncomputed: list[str] = []
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            if name.startswith("xl/worksheets/") and name.endswith(".xml"):
                content = archive.read(name)
                merged += [found.decode() for found in MERGED.findall(content)]
                uncomputed += [found.decode() for found in UNCOMPUTED.findall(content)]
    return merged, uncomputed


def _csv(sheet: Any, merged: Sequence[str]) -> bytes:
    """A sheet as CSV; each row of merged cells has their value."""
    from openpyxl.utils import range_boundaries

    sheet.reset_dimensions()  # as some programs state them, they leave cells out
    rows = [[_text(cell) for cell in row] for row in sheet.iter_rows()]
    for column, first, _, last in map(range_boundaries, merged):
        value = "".join(rows[first - 1][column - 1 : column]) if first <= len(rows) else ""
        for row in rows[first:last] if value else []:
            row += [""] * (column - len(row))
            row[column - 1] = value
    width = max((index + 1 for row in rows for index, text in enumerate(row) if text), default=0)
    content = io.StringIO()
    csv.writer(content).writerows(row[:width] + [""] * (width - len(row)) for row in rows if any(row))
    return content.getvalue().encode()


def _text(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float) and "%" in QUOTED.sub("", cell.number_format):
        return f"{100 * value:.15g}%"
    return str(value)
