"""How images are shown: as a grid, with a Markdown table of the same layout for what is to be said of each."""

import io
from collections.abc import Sequence

from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid

from lightning_modules.tasks.texts import cell

COLUMNS = 8
LEAST_SIDE = 56  # pixels on the dashboard; smaller images are enlarged by a whole number


def grid(images: Tensor, columns: int = COLUMNS, stretch: bool = True) -> Tensor:
    """One picture, (C, H', W') from 0 to 1, of images side by side.

    Args:
        images: (B, C, H, W)
        columns: in a row.
        stretch: show each channel's darkest value as 0 and its brightest as 1; else the values are from 0 to 1.
    """
    images = images.detach().float().cpu()
    if stretch:
        least, most = images.amin((0, 2, 3), keepdim=True), images.amax((0, 2, 3), keepdim=True)
        images = (images - least) / (most - least).clamp(min=1e-8)
    times = -(-LEAST_SIDE // max(images.shape[2:]))
    images = images.repeat_interleave(times, 2).repeat_interleave(times, 3)
    return make_grid(images, nrow=columns, padding=2, pad_value=0.5)


def png(image: Tensor) -> bytes:
    """The content of a PNG file with a (C, H, W) uint8 image of one or three channels."""
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).squeeze(2).cpu().numpy()).save(file, "PNG")
    return file.getvalue()


def table(texts: Sequence[str], columns: int = COLUMNS) -> str:
    """The texts as a Markdown table, each where its image stands in the grid."""
    rows = [[cell(text) for text in texts[start : start + columns]] for start in range(0, len(texts), columns)]
    width = max(map(len, rows))
    lines = ["| " + " | ".join(row + [""] * (width - len(row))) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]])


def classes(target: Tensor, names: Sequence[str]) -> list[str]:
    """The class of each example; of mixed ones such texts as `cat 70 %, dog 30 %`, the largest share first.

    Args:
        target: (B,), or (B, C) with the share of each class.
        names: of the classes.
    """
    if not target.is_floating_point():
        return [names[number] for number in target.tolist()]
    texts = []
    for row in target.cpu():
        order = [number for number in row.argsort(descending=True).tolist() if row[number] > 0]
        alone = len(order) == 1
        texts.append(
            names[order[0]] if alone else ", ".join(f"{names[one]} {100 * float(row[one]):.0f} %" for one in order)
        )
    return texts


def worst(logits: Tensor, target: Tensor, names: Sequence[str], most: int = 2 * COLUMNS) -> tuple[Tensor, list[str]]:
    """The examples whose true class was given the least probability, and what was said of each.

    Args:
        logits: (B, C)
        target: (B,)
        names: of the classes.
        most: examples wanted.

    Returns:
        Their positions, worst first, and such texts as `cat, taken for dog (98 %)`; of one that was right after all,
        `cat (51 %)`.
    """
    probability = logits.detach().float().softmax(-1).cpu()
    target = target.cpu()
    order = probability.gather(1, target[:, None]).squeeze(1).argsort()[:most]
    texts = []
    for number in order.tolist():
        true, guess = int(target[number]), int(probability[number].argmax())
        share = f"({100 * float(probability[number, guess]):.0f} %)"
        texts.append(f"{names[true]} {share}" if guess == true else f"{names[true]}, taken for {names[guess]} {share}")
    return order, texts
