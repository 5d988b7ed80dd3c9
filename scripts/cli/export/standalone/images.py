"""Image files: one, or those of a folder in the order of their paths; needs Pillow."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps


def examples(path: Path, picture: Any) -> Iterator[tuple[list[Path], dict[str, Any], Any]]:
    """The pixels of each image: upright, opaque, 8 bits a channel, scaled and cut."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix.lower() in picture["files"])
    for file in files:
        try:
            with file.open("rb") as content, Image.open(content) as image:
                pixels = np.asarray(prepared(image, picture)).reshape(picture["height"], picture["width"], -1)
        except (OSError, ValueError) as error:
            sys.exit(f"error: {file}: {error}")
        yield [file], {"pixels": pixels.transpose(2, 0, 1)[None]}, None


def prepared(image: Image.Image, picture: Any) -> Image.Image:
    """The image as the model is given it."""
    mode, size = ("RGB" if picture["channels"] == 3 else "L"), picture["shorter_side"]
    if size is not None:
        image.draft(mode, (size, size))  # a JPEG is decoded at a fraction of its size, as in training
    image.load()
    image = eight_bits(ImageOps.exif_transpose(image), picture["levels"])
    if image.has_transparency_data:
        image = on_opaque(image, picture["whitish"])
    image = image.convert(mode)
    if size is not None and image.size != (size, size):
        width, height = (max(size, round(side * size / min(image.size))) for side in image.size)
        left, top = (width - size) // 2, (height - size) // 2
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        image = image.crop((left, top, left + size, top + size))
    return image


def on_opaque(image: Image.Image, whitish: float) -> Image.Image:
    """The image on white, or on black where what is opaque in it is nearly white."""
    grey = image.mode in ("1", "L", "LA", "La")
    image = image.convert("LA" if grey else "RGBA")
    alpha, flat = image.getchannel("A"), image.convert("L" if grey else "RGB")
    lowest, highest = alpha.getextrema()
    if lowest == 255 or highest == 0:
        return flat
    brightness = np.average(np.asarray(flat.convert("L"), np.float32), weights=np.asarray(alpha, np.float32))
    ground = Image.new(flat.mode, flat.size, "black" if brightness > whitish else "white")
    ground.paste(flat, mask=alpha)
    return ground


def eight_bits(image: Image.Image, levels: Any) -> Image.Image:
    """The image with the range of training's deep images as 0 to 255, if it has integers of more bits, or floats."""
    kind = image.mode[0]
    if kind not in "IF":
        return image
    low, high = levels[kind]
    values = np.asarray(image)
    if kind == "F" and (low, high) == (0, 255):
        return image.convert("L")
    bits = int(high + 1).bit_length() - 1
    if kind == "I" and low == 0 and high == 2**bits - 1:
        return Image.fromarray((values >> (bits - 8)).clip(0, 255).astype(np.uint8))
    scaled = np.nan_to_num((values.astype(np.float64) - low) * (255 / (high - low)))
    return Image.fromarray(scaled.round().clip(0, 255).astype(np.uint8))
