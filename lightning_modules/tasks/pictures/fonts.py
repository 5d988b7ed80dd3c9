"""The fonts of a picture: one that has Chinese characters is found on the machine, or comes with a dependency."""

import functools
from importlib.util import find_spec
from pathlib import Path

from matplotlib import font_manager

LATIN = "DejaVu Sans"  # comes with matplotlib
PACKAGE = "zhplot"  # has Noto Sans SC, and is not imported
SAMPLE = "中国的一是了我人这学习错误"  # characters that a font for simplified Chinese has


@functools.cache
def families() -> list[str]:
    """The names of the fonts of a picture, in the order in which a character is looked for in them."""
    return [LATIN, *chinese_family()]


@functools.cache
def chinese_family() -> list[str]:
    """The name of a font with Chinese characters; none where there is none."""
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
        known = font_manager.get_font(file).get_charmap()
    except (OSError, RuntimeError):  # damaged, or a format that matplotlib does not read
        return False
    return all(ord(char) in known for char in text)
