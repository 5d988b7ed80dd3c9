"""What a dashboard shows: images as a grid, everything else as Markdown tables."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

COLUMNS = 8  # of a grid
MIN_SIDE = 56  # pixels; smaller images are enlarged by an integer factor
MAX_TEXTS = 12
# Of Markdown; before others, as `<` and `~`, TensorBoard would show the backslash.
ESCAPED = {char: f"\\{char}" for char in "\\`*_{}[]>#|"} | {"&": "&amp;", "<": "&lt;", "\r": " ", "\n": " "}
FIRST_BATCH = "first batch"  # the name of what is shown of a run's first training batch


def escape(text: str) -> str:
    """The text with Markdown's special characters escaped."""
    return "".join(ESCAPED.get(char, char) for char in text)


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], number_format: str = ".3f") -> str:
    """A Markdown table whose columns of numbers are right-aligned.

    Args:
        header: of the columns.
        rows: cells: Markdown, an int, a float, or None for an empty one.
        number_format: of the floats.
    """
    is_text = [not rows or any(isinstance(row[column], str) for row in rows) for column in range(len(header))]
    lines = [header, ["---" if text else "---:" for text in is_text]]
    lines += [[_formatted(value, number_format) for value in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _formatted(value: Any, number_format: str) -> str:
    return f"{value:{number_format}}" if isinstance(value, float) else "" if value is None else str(value)


def grid(images: Tensor, columns: int = COLUMNS, stretch: bool = True) -> Tensor:
    """A single image, (C, H', W') from 0 to 1, of images side by side.

    Args:
        images: (B, C, H, W)
        columns: in a row.
        stretch: scale each channel's range to 0 to 1; otherwise the values already are from 0 to 1.
    """
    images = scaled(images) if stretch else images.detach().float().cpu()
    from torchvision.utils import make_grid  # a run without images does not import it

    factor = -(-MIN_SIDE // max(images.shape[2:]))
    images = images.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    return make_grid(images, nrow=columns, padding=2, pad_value=0.5)


def scaled(images: Tensor) -> Tensor:
    """Images, (B, C, H, W), each channel's range scaled to 0 to 1."""
    images = images.detach().float().cpu()
    low, high = images.amin((0, 2, 3), keepdim=True), images.amax((0, 2, 3), keepdim=True)
    return (images - low) / (high - low).clamp(min=1e-8)


def mistakes(order: Tensor, correct: Sequence[Any], most: int) -> tuple[list[int], bool]:
    """The wrong predictions, worst first, or, where all are right, the worst of these; and whether all are right.

    Args:
        order: (B,), the indices of the predictions, worst first.
        correct: of each of B, whether it is right.
        most: maximum number.
    """
    rows = order.tolist()
    wrong = [row for row in rows if not correct[row]]
    return (wrong or rows)[:most], not wrong


def png(image: Tensor) -> bytes:
    """The content of a PNG file with a (C, H, W) uint8 image of one or three channels."""
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).squeeze(2).cpu().numpy()).save(file, "PNG")
    return file.getvalue()


def from_png(content: bytes) -> Tensor:
    """The image, (3, H, W) from 0 to 1, in the content of a PNG file."""
    pixels = np.array(Image.open(io.BytesIO(content)).convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


def class_labels(target: Tensor, names: Sequence[str]) -> list[str]:
    """The class of each example; of a mixed one a text such as `cat 70 %, dog 30 %`, the largest fraction first.

    Of several labels, which are all 1, the text is `cat, dog`; without any it is `none`.

    Args:
        target: (B,), or (B, C) with the fraction of each class.
        names: of the classes.
    """
    if not target.is_floating_point():
        return [names[index] for index in target.tolist()]
    labels = []
    for row in target.cpu():
        order = [index for index in row.argsort(descending=True).tolist() if row[index] > 0]
        if all(row[index] == 1 for index in order):
            labels.append(", ".join(names[index] for index in sorted(order)) or "none")
            continue
        mixed = ", ".join(f"{names[index]} {100 * float(row[index]):.0f} %" for index in order)
        labels.append(mixed if len(order) > 1 else names[order[0]])
    return labels


def worst(
    logits: Tensor, target: Tensor, names: Sequence[str], count: int = 2 * COLUMNS
) -> tuple[Tensor, list[str], list[bool]]:
    """The examples whose true class has the lowest predicted probability, and their labels.

    Args:
        logits: (B, C)
        target: (B,)
        names: of the classes.
        count: maximum number of examples.

    Returns:
        Their indices, worst first, texts such as `cat` over `→ dog 98 %`, the predicted class, and whether the
        predictions are right.
    """
    probability = logits.detach().float().softmax(-1).cpu()
    target = target.cpu()
    order = probability.gather(1, target[:, None]).squeeze(1).argsort()[:count]
    confidence, predicted = probability[order].max(-1)
    rows = zip(target[order].tolist(), predicted.tolist(), confidence.tolist(), strict=True)
    labels = [f"{names[true]}\n→ {names[found]} {100 * part:.0f} %" for true, found, part in rows]
    return order, labels, (target[order] == predicted).tolist()
