"""The fonts of a picture: one that has Chinese characters is found on the machine, or comes with a dependency."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font

LATIN = "DejaVu Sans"  # comes with matplotlib
PACKAGE = "zhplot"  # has Noto Sans SC, and is not imported
MAX_NOTED = 10  # characters in a note
SAMPLE = "中国的一是了我人这学习错误"  # characters that a font for simplified Chinese has
MISSING = "□"  # instead of a character that no font has
UNITS = 1000  # of an em, in which widths are measured


@functools.cache
def families() -> list[str]:
    """The names of the fonts of a picture, in the order in which a character is looked for in them."""
    return [LATIN, *chinese_family()]


@functools.cache
def chinese_family() -> list[str]:
    """The name of a font with Chinese characters; none where there is none."""
    from matplotlib import font_manager

    spec = find_spec(PACKAGE)
    places = [Path(place) for place in (spec.submodule_search_locations or [])] if spec is not None else []
    for file in [file for place in places for file in sorted(place.glob("fonts/*.?tf"))]:
        font_manager.fontManager.addfont(file)
        return [font_manager.FontProperties(fname=file).get_name()]
    for font in font_manager.fontManager.ttflist:
        if any(part in font.name for part in KNOWN) and has_characters(font.fname):
            return [font.name]
    return []


KNOWN = (  # on Linux, macOS and Windows
    *("Noto Sans CJK", "Noto Sans SC", "Source Han Sans", "WenQuanYi", "Droid Sans Fallback"),
    *("PingFang", "Hiragino Sans GB", "Heiti", "STHeiti", "Songti", "Arial Unicode"),
    *("Microsoft YaHei", "SimHei", "SimSun", "DengXian"),
)


def has_characters(file: str, text: str = SAMPLE) -> bool:
    """Whether a font's file has all characters of a text."""
    try:
        known = _font(file).get_charmap()
    except (OSError, RuntimeError):  # damaged, or a format that matplotlib does not read
        return False
    return all(ord(char) in known for char in text)


_NOTED: list[str] = []  # characters that no font has, once that was said


def note_missing(characters: Iterable[str]) -> None:
    """Say which characters no font has, the first time that there are any."""
    if not _NOTED:
        _NOTED.extend(dict.fromkeys(characters))
        shown = " ".join(_NOTED[:MAX_NOTED])
        print(f"note: no font here has {shown}; pictures show boxes in their place", file=sys.stderr, flush=True)


@functools.cache
def _files(bold: bool) -> list[str]:
    """The files of the fonts, in the order of `families`; bold type is Latin alone, a Chinese font may have none."""
    from matplotlib.font_manager import FontProperties, findfont

    weight = "bold" if bold else "normal"
    names = [LATIN] if bold else families()
    return [findfont(FontProperties(family=[name], weight=weight)) for name in names]


@functools.cache
def _characters(bold: bool) -> set[int]:
    """What can be drawn."""
    return {code for file in _files(bold) for code in _font(file).get_charmap()}


def legible(text: str) -> str:
    """The text, each character that cannot be drawn replaced by another one: matplotlib warns of them."""
    known = _characters(bold=False)
    if lacking := [char for char in text if not char.isspace() and ord(char) not in known]:
        note_missing(lacking)
    return "".join(" " if char.isspace() else char if ord(char) in known else MISSING for char in text)


def has_bold(text: str) -> bool:
    """Whether all of a text can be in bold type, of the font `LATIN`."""
    return _characters(bold=True).issuperset(map(ord, text))


@functools.lru_cache(2**16)
def width(text: str, bold: bool = False) -> float:
    """How far a legible text of one direction of writing advances, in ems, where nothing is hinted."""
    if not text:
        return 0.0
    between = _starts(f"|{text}|", bold)
    return float(between.max() - between.min()) / 64 / UNITS - _bar(bold)


@functools.cache
def _bar(bold: bool) -> float:
    first, second = _starts("||", bold)
    return float(second - first) / 64 / UNITS


def _starts(text: str, bold: bool) -> NDArray[np.float64]:
    """Where each character begins, in 64ths of a unit."""
    from matplotlib.ft2font import LoadFlags

    font = _font(_files(bold))
    font.set_size(UNITS, 72)  # it is shared with what draws, which sets its own size
    places: NDArray[np.float64] = font.set_text(text, 0, flags=LoadFlags.NO_HINTING)[:, 0]
    return places


def _font(files: str | list[str]) -> FT2Font:
    from matplotlib.font_manager import get_font

    return get_font(files)
