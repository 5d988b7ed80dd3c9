"""Pictures of images: side by side, each with its caption."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from lightning_modules.tasks.pictures.figure import new_figure

COLUMNS = 8
SIDE, LINE = 1.5, 0.17  # inches of an image, and of a line of its caption
MAX_CHARS = 22  # of a line


def captioned(images: Tensor, captions: Sequence[str], columns: int = COLUMNS) -> Figure:
    """A figure of images side by side, each above its caption.

    Args:
        images: (B, C, H, W) from 0 to 1, of one or three channels.
        captions: of each image; a line break begins a new line.
        columns: images in a row.
    """
    images = images.detach().float().cpu().clamp(0, 1)
    lines = [[cut(line) for line in caption.split("\n")] for caption in captions]
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    ratio = images.shape[2] / images.shape[3]
    most = max(map(len, lines), default=0)
    figure = new_figure(columns * SIDE, rows * (SIDE * ratio + most * LINE))
    for index, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if index < len(images):
            pixels = images[index].permute(1, 2, 0).numpy()
            axes.imshow(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels, cmap="gray", vmin=0, vmax=1)
            axes.set_title("\n".join(lines[index]), fontsize=7, y=-0.02, va="top")
    return figure


def cut(text: str, most: int = MAX_CHARS) -> str:
    """The text, shortened in its middle: of a path its end says most, and of a class its beginning."""
    return text if len(text) <= most else f"{text[: most // 2 - 1]}…{text[len(text) - most // 2 :]}"
