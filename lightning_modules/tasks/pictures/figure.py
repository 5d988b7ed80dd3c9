"""A figure as all pictures have it, and its files.

No module of pictures imports matplotlib before it draws: few commands do, and that takes as long as their start.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lightning_modules.tasks.pictures.fonts import families, note_missing

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

DPI = 100
MISSING = re.compile(r"Glyph (\d+) \(.*\) missing from ")  # a warning of matplotlib
STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": False,
    "axes.titlesize": 9,
    "text.hinting": "none",  # a text is as wide in each form of file as it was measured
    "svg.hashsalt": "",  # the same picture is the same file
    "svg.fonttype": "path",  # legible wherever it is opened, whatever fonts are there
    "text.parse_math": False,  # a `$` in a name is one
}
BLUE, ORANGE, GREEN, RED, GREY = "#2468b2", "#d9822b", "#2a8c55", "#c23b3b", "#8a8f98"
COLOURS = (BLUE, ORANGE, GREEN, RED, "#7a58b5", "#2b9db3", "#b5538b", "#7d7a2a", "#5f4b3b", GREY)


@contextmanager
def style() -> Iterator[None]:
    """Fonts and lines of a picture: artists take them when they are made, texts their font when they are drawn."""
    from matplotlib import rc_context

    settings: Any = STYLE | {"font.family": families()}
    with rc_context(settings):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, which no window shows and nobody has to close.

    Args:
        width: inches.
        height: inches.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def limit_ticks(axis: Axis, most: int = 10, integer: bool = False) -> None:
    """Mark an axis at few round numbers.

    Args:
        axis: of a picture.
        most: of the intervals between them.
        integer: whether only whole numbers are marked.
    """
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(most, integer=integer))


def legend_name(name: str) -> str:
    """A name as a legend shows it: matplotlib leaves out those that begin with `_`."""
    return f" {name}" if name.startswith("_") else name


def figure_file(figure: Figure, form: str) -> bytes:
    """The content of a file with a figure.

    Args:
        figure: drawn within `style`.
        form: `png` or `svg`.
    """
    file = io.BytesIO()
    with style(), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        # without the time, so that the same picture is the same file
        figure.savefig(file, format=form, metadata={"Date": None} if form == "svg" else {"Software": None})
    figure.set_layout_engine("none")  # in the other form its texts are as wide: it is laid out once
    lacking = [found[1] for each in warned if (found := MISSING.match(str(each.message)))]
    if lacking:
        note_missing(chr(int(code)) for code in lacking)
    for each in warned:
        if not MISSING.match(str(each.message)):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    return file.getvalue()
