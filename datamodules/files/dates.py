"""Dates and times as people write them, read for a complete column."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from datamodules.errors import DataError

_YEAR, _MONTH_WORD = r"(?P<year>\d{4}|'?\d{2})", r"(?P<word>[A-Za-z]{3,9})\.?"
_TIME = (
    r"(?:[T ,]*(?P<hour>\d{1,2})(?::|时|点)(?P<minute>\d{2})(?:(?::|分)(?P<second>\d{2})(?:[.,](?P<fraction>\d+))?)?"
    r"[秒分]?\s*(?P<half>[AaPp]\.?[Mm]\.?)?)?\s*(?P<zone>Z|UTC|[+-]\d{2}:?\d{2})?$"
)
PATTERNS = [
    re.compile(pattern + _TIME)
    for pattern in (
        r"(?P<year>\d{4})(?P<sep>[-/.])(?P<month>\d{1,2})(?:(?P=sep)(?P<day>\d{1,2}))?",
        r"(?P<year>\d{4})年(?P<month>\d{1,2})月(?:(?P<day>\d{1,2})[日号])?",
        rf"(?P<one>\d{{1,2}})(?P<sep>[-/.])(?P<other>\d{{1,2}})(?P=sep){_YEAR}",
        rf"(?P<day>\d{{1,2}})[-/ .]*{_MONTH_WORD}[-/ ,]*{_YEAR}",
        rf"{_MONTH_WORD}[-/ ]*(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,? +(?P<year>\d{{4}})",
        rf"{_MONTH_WORD}[-/ ,]*(?P<year>\d{{4}})",
        r"(?P<year>(?:19|20)\d{2})(?P<month>\d{2})(?P<day>\d{2})",
        r"(?P<year>\d{4})[-/ ]?(?P<quarter>Q[1-4])",
    )
]
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Found = dict[str, str | None]
Seconds = np.ndarray[Any, np.dtype[np.float64]]


def pattern_of(text: str) -> re.Pattern[str] | None:
    """The first pattern of dates that a text has."""
    return next((pattern for pattern in PATTERNS if pattern.match(text)), None)


def parsed_dates(texts: Sequence[str], day_first: bool | None, where: str) -> tuple[Seconds, bool | None] | None:
    """The seconds since 1970 of dates that are all written in one way, and whether the day comes first.

    None where they are no dates.

    Whether a day or a month comes first is decided by the values above 12 of all texts, or else by which reading is in
    order.

    Args:
        texts: the dates.
        day_first: whether `02/03/2021` is in March; None to decide it.
        where: the column, for the message.

    Raises:
        DataError: both readings fit, and neither or both are in order.
    """
    pattern = pattern_of(texts[0]) if texts else None
    if pattern is None:
        return None
    matches = [pattern.match(text) for text in texts]
    if not all(matches):
        return None
    found = [match.groupdict() for match in matches if match]
    try:
        if "one" not in found[0]:
            return _seconds(found), day_first
        large = {key for each in found for key in ("one", "other") if int(each[key] or 0) > 12}
        if len(large) == 2:
            return None
        if day_first is None and large:
            day_first = large == {"one"}
        if day_first is not None:
            return _seconds(found, day_first), day_first
        readings = [_seconds(found, first) for first in (True, False)]
    except ValueError:  # such as a 30th of February
        return None
    ordered = [all(np.diff(each) > 0) or all(np.diff(each) < 0) for each in readings]
    if ordered[0] == ordered[1]:
        raise DataError(f"{where}: {texts[0]} may begin with the day or the month; give --data.day_first true or false")
    return (readings[0], True) if ordered[0] else (readings[1], False)


def _seconds(found: list[Found], day_first: bool = True) -> Seconds:
    """The seconds since 1970 of the parts of dates."""
    return np.array([(_moment(each, day_first) - EPOCH).total_seconds() for each in found])


def _moment(found: Found, day_first: bool) -> datetime:
    """The moment that the parts of a date say.

    Raises:
        ValueError: there is no such day.
    """
    year = int((found["year"] or "").strip("'"))
    year += 0 if year > 99 else 2000 if year < 70 else 1900
    if word := found.get("word"):
        month = MONTHS.index(word[:3].lower()) + 1
    elif quarter := found.get("quarter"):
        month = 3 * int(quarter[1]) - 2
    else:
        month = int(found.get("month") or found["other" if day_first else "one"] or 0)
    day = int(found.get("day") or found.get("one" if day_first else "other") or 1)
    hour = int(found["hour"] or 0)
    if half := found["half"]:
        hour = hour % 12 + 12 * (half[0] in "Pp")
    moment = datetime(year, month, day, hour, int(found["minute"] or 0), int(found["second"] or 0), tzinfo=UTC)
    moment += timedelta(seconds=float(f"0.{found['fraction'] or 0}"))
    if (zone := found["zone"]) and zone[0] in "+-":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
        moment -= offset if zone[0] == "+" else -offset
    return moment
