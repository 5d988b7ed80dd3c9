"""What a dashboard shows: images as a grid, everything else as Markdown tables."""

import io
from collections.abc import Sequence
from typing import Any

from PIL import Image
from torch import Tensor

from datamodules.tokenizing.tokens import Text

COLUMNS = 8  # of a grid
MIN_SIDE = 56  # pixels; smaller images are enlarged by an integer factor
MAX_TEXTS = 12
MAX_TOKENS = 60  # of a text
BAR_LENGTH = 20  # characters of the longest bar
EAST_ASIAN = (("\u2e80", "\u9fff"), ("\uf900", "\ufaff"), ("\uff00", "\uffef"), ("\U00020000", "\U0010ffff"))


def escape(text: str) -> str:
    """The text with Markdown's special characters escaped."""
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>#|~" else " " if char in "\r\n" else char for char in text)


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


def png(image: Tensor) -> bytes:
    """The content of a PNG file with a (C, H, W) uint8 image of one or three channels."""
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).squeeze(2).cpu().numpy()).save(file, "PNG")
    return file.getvalue()


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


def tokens_of(text: Text, token_names: Sequence[str]) -> list[list[str]]:
    """The tokens of each text.

    Args:
        text: B of them.
        token_names: of all V tokens.
    """
    rows = zip(text.ids.tolist(), text.lengths.tolist(), strict=True)
    return [[token_names[index] for index in ids[:length]] for ids, length in rows]


def joined(tokens: Sequence[str]) -> str:
    """The tokens as a text: subwords are joined, and East Asian characters are not separated by spaces."""
    text = ""
    for token in tokens:
        piece = token.removeprefix("##")
        if text and piece == token and not (is_east_asian(text[-1]) or is_east_asian(token[0])):
            text += " "
        text += piece
    return text


def is_east_asian(char: str) -> bool:
    """Whether the character belongs to a script that is written without spaces."""
    return any(first <= char <= last for first, last in EAST_ASIAN)


def examples_table(tokens: Sequence[Sequence[str]], target: Tensor, logits: Tensor, class_names: Sequence[str]) -> str:
    """The first texts with their true and predicted class.

    Args:
        tokens: of the B texts.
        target: (B,)
        logits: (B, C)
        class_names: of the classes.
    """
    probability, predicted = logits.float().softmax(-1).max(-1)
    names, rows = [escape(name) for name in class_names], []
    columns = zip(tokens, target.tolist(), predicted.tolist(), probability.tolist(), strict=True)
    for words, true, guess, confidence in list(columns)[:MAX_TEXTS]:
        text = joined(words[:MAX_TOKENS]) + (" …" if len(words) > MAX_TOKENS else "")
        mark = "✓" if true == guess else "✗"
        rows.append([mark, names[true], f"{names[guess]} {confidence:.2f}", escape(text)])
    return table(["", "true", "predicted", "text"], rows)


def weights_table(tokens: Sequence[str], weights: Sequence[float]) -> str:
    """A text from top to bottom, with each token's weight.

    Args:
        tokens: T of them.
        weights: at least T; those of the padding come last.
    """
    largest = max(weights)
    rows = [
        [escape(token), weight, "█" * round(BAR_LENGTH * weight / largest)]
        for token, weight in list(zip(tokens, weights, strict=False))[:MAX_TOKENS]
    ]
    return table(["token", "weight", ""], rows)


def heaviest(tokens: Sequence[str], weights: Sequence[float], count: int = 5) -> list[dict[str, Any]]:
    """The tokens with the largest weights, in descending order.

    Args:
        tokens: T of them.
        weights: at least T; those of the padding come last.
        count: maximum number of tokens.
    """
    order = sorted(range(len(tokens)), key=lambda index: -weights[index])[:count]
    return [{"token": tokens[index], "place": index, "weight": round(weights[index], 4)} for index in order]
