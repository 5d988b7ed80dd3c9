"""Pictures of images, side by side, each with its caption."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from lightning_modules.tasks.pictures.figure import new_figure
from lightning_modules.tasks.pictures.fonts import legible
from lightning_modules.tasks.pictures.labels import beginning, width_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 8
SIDE, SMALL_SIDE = 1.5, 0.8  # inches of an image, and of one without a caption
GAP = 0.05  # inches between images
LINE = 0.14  # inches of a line of text
CHAR = 0.075  # inches of a Latin character, at most
MAX_CHARS = 22  # of a line of a caption
MIN_WIDTH = 3.0  # inches, for the title


def captioned(
    images: Tensor,
    captions: Sequence[str] = (),
    columns: int = COLUMNS,
    colours: Sequence[str] = (),
    row_labels: Sequence[str] = (),
    title: str = "",
) -> Figure:
    """A figure of images side by side, each above its caption.

    Args:
        images: (B, C, H, W) from 0 to 1, of one or three channels.
        captions: of the images; a line break begins a new line.
        columns: images in a row.
        colours: of the captions; black by default.
        row_labels: to the left of the rows.
        title: above all images.
    """
    pixels = images.detach().float().cpu().clamp(0, 1).permute(0, 2, 3, 1).numpy()
    texts = ["\n".join(cut(line) for line in caption.split("\n")) for caption in captions]
    labels = [cut(label) for label in row_labels]
    columns = min(columns, len(images))
    side = SIDE if any(texts) else SMALL_SIDE
    height = side * images.shape[2] / images.shape[3]
    left = max(map(width_of, labels)) * CHAR + GAP if labels else 0.0
    width = max(left + columns * (side + GAP) + GAP, MIN_WIDTH)
    above = textwrap.wrap(title, int(width / CHAR))
    tops, y = [], len(above) * LINE + 2 * GAP
    for first in range(0, len(images), columns):
        tops.append(y)
        lines = max((text.count("\n") + 1 for text in texts[first : first + columns] if text), default=0)
        y += height + GAP + lines * LINE
    figure = new_figure(width, y + GAP)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    for index, image in enumerate(pixels):
        x, top = left + GAP + index % columns * (side + GAP), tops[index // columns]
        image = image.squeeze(2) if image.shape[2] == 1 else image
        axes.imshow(image, cmap="gray", vmin=0, vmax=1, extent=(x, x + side, top + height, top))
        if index < len(texts):
            colour = colours[index] if colours else "black"
            axes.text(x + side / 2, top + height + 0.02, texts[index], fontsize=7, ha="center", va="top", color=colour)
    for top, label in zip(tops, labels, strict=False):
        axes.text(left, top + height / 2, label, fontsize=8, ha="right", va="center")
    axes.text(width / 2, GAP, "\n".join(above), fontsize=8, ha="center", va="top")
    axes.set(xlim=(0, width), ylim=(y + GAP, 0), aspect="auto")  # inches
    return figure


def cut(text: str, most: int = MAX_CHARS) -> str:
    """The text as it can be drawn, shortened in its middle.

    Args:
        text: a line.
        most: its width in Latin characters.
    """
    text = legible(text)
    if width_of(text) <= most:
        return text
    return f"{beginning(text, most // 2 - 1)}…{beginning(text[::-1], most - most // 2)[::-1]}"


def tail(text: str, most: int = MAX_CHARS) -> str:
    """The end of a text, such as a path, that is at most so wide, as it can be drawn."""
    text = legible(text)
    return text if width_of(text) <= most else f"…{beginning(text[::-1], most - 1)[::-1]}"
