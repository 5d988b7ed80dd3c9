"""The texts of a figure, as they are drawn."""

import io

from matplotlib.figure import Figure
from matplotlib.text import Text

from lightning_modules.tasks.pictures.figure import style

TOLERANCE = 1.5  # pixels


def drawn_texts(figure: Figure) -> list[Text]:
    """The visible texts of a figure, after it was drawn."""
    with style():
        figure.savefig(io.BytesIO(), format="png")
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


def outside(figure: Figure) -> list[str]:
    """The texts that are cut off at the figure's edge."""
    found = []
    for text in drawn_texts(figure):
        box, limits = text.get_window_extent(), figure.bbox
        if min(box.x0, box.y0, limits.x1 - box.x1, limits.y1 - box.y1) < -TOLERANCE:
            found.append(text.get_text())
    return found
