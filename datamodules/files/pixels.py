"""Image files decoded to bytes: upright, opaque, and of 8 bits a channel."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor

from datamodules.errors import DataError
from datamodules.files.paths import regular

HEIF_FILES = (".heic", ".heif", ".hif")
IMAGE_FILES = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".jfif", ".jpe", ".apng", ".dib", ".avif"),
    *(".jp2", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", *(HEIF_FILES if find_spec("pillow_heif") else ())),
)
DEEP_FILES = (".png", ".tif", ".tiff", ".pgm", ".pnm", ".jp2", ".pfm")  # which can hold more than 8 bits a channel
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by EXIF's orientation
WITH_ORIENTATION = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")  # keys of Pillow's info
WHITISH = 230  # mean brightness of what is opaque, from which it would hardly be seen on white

Levels = Mapping[str, Sequence[float]]  # by the kind of number, I or F: what becomes black, and what becomes white
EARLIER_LEVELS: Levels = {"I": [0, 65535], "F": [0, 255]}  # of checkpoints that state none


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An image file.

    Raises:
        DataError: the file is no image, or a damaged one, which may be detected while it is used.
    """
    if path.suffix.lower() in HEIF_FILES:
        _register_heif(path)
    try:
        # By its path Pillow would map an uncompressed TIFF into memory, and one that lies on its side wrongly.
        with regular(path).open("rb") as file, Image.open(file) as image:
            yield image
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, DataError):
            raise
        if isinstance(error, OSError) and error.errno:  # of the system, such as a file that this user may not read
            raise DataError(f"{path}: cannot be read ({error.strerror})") from None
        raise DataError(f"{path}: not a complete image ({error})") from None


@cache
def _register_heif(path: Path) -> None:
    if find_spec("pillow_heif") is None:
        raise DataError(f'{path}: HEIF is read by pillow-heif, which is not installed: pip install -e ".[heif]"')
    import_module("pillow_heif").register_heif_opener()


def decode(
    path: Path, channels: int, size: int | None, levels: Levels = EARLIER_LEVELS, seen: list[str] | None = None
) -> Tensor:
    """Decode an image file to (channels, height, width) uint8.

    Args:
        path: the file.
        channels: 1 for grey, 3 for colour.
        size: scale the shorter side to this many pixels and cut out the middle square; None to leave it.
        levels: of images of more than 8 bits a channel, see `levels_of`.
        seen: what was changed or left out is added to it, see `REMARKS`.

    Raises:
        DataError: the file is no image, or a damaged one.
    """
    mode = "RGB" if channels == 3 else "L"
    seen = [] if seen is None else seen
    with opened(path) as image:
        if getattr(image, "is_animated", False) and image.format != "MPO":  # a camera's, with a preview
            seen.append("frames")
        if size is not None:
            image.draft(mode, (size, size))  # a JPEG decodes faster at half its size
        if channels == 1 and not is_grey(image) and not _has_grey_palette(image):
            seen.append("colour")
        image = _opaque(_eight_bits(_upright(image), levels, path, seen), seen).convert(mode)
        if size is not None and image.size != (size, size):
            scale = size / min(image.size)
            width, height = (max(size, round(side * scale)) for side in image.size)
            left, top = (width - size) // 2, (height - size) // 2
            image = image.resize((width, height), Image.Resampling.BILINEAR)
            image = image.crop((left, top, left + size, top + size))
        pixels = np.asarray(image)
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], channels).copy()).permute(2, 0, 1)


REMARKS = {
    "frames": "hold several frames, of which the first is read",
    "opaque": "are transparent in parts: these become white, or black where the rest is white",
    "clipped": "have values outside of the range of the others, which are clipped",
    "colour": "have colours, but are read in grey, as the first is; --data.channels 3 keeps them",
}  # by what `decode` adds to `seen`


def is_grey(image: Image.Image) -> bool:
    """Whether an image has no colours by its type."""
    return image.mode.startswith(("1", "L", "I", "F")) and image.mode != "LAB"


def _has_grey_palette(image: Image.Image) -> bool:
    palette = np.array(image.getpalette() if image.mode == "P" else [0, 1, 2]).reshape(-1, 3)
    return bool((palette == palette[:, :1]).all())


def _upright(image: Image.Image) -> Image.Image:
    """The image as EXIF says that the camera was held."""
    image.load()  # a TIFF is turned by this already
    if image.info.keys().isdisjoint(WITH_ORIENTATION):
        return image
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except (SyntaxError, ValueError, TypeError, KeyError):  # of a damaged EXIF, beside a picture that is whole
        turn = None
    return image if turn is None else image.transpose(turn)


def _opaque(image: Image.Image, seen: list[str]) -> Image.Image:
    """The image on white, or on black where what is opaque in it is nearly white."""
    if not image.has_transparency_data:
        return image
    grey = image.mode in ("1", "L", "LA", "La")
    image = image.convert("LA" if grey else "RGBA")
    alpha, picture = image.getchannel("A"), image.convert("L" if grey else "RGB")
    lowest, highest = alpha.getextrema()
    if lowest == 255 or highest == 0:  # the latter where a program wrote a channel that it did not use
        return picture
    seen.append("opaque")
    weights = np.asarray(alpha, np.float32)
    brightness = np.average(np.asarray(picture.convert("L"), np.float32), weights=weights)
    flat = Image.new(picture.mode, picture.size, "black" if brightness > WHITISH else "white")
    flat.paste(picture, mask=alpha)
    return flat


def _eight_bits(image: Image.Image, levels: Levels, path: Path, seen: list[str]) -> Image.Image:
    """The image with what the levels say as 0 to 255, if it has integers of more bits, or floating point numbers."""
    kind = image.mode[0]
    if kind not in "IF":
        return image
    if kind not in levels and kind == "F":
        raise DataError(f"{path}: has floating point numbers, unlike the images that decide the scale; expected 8 bits")
    low, high = levels.get(kind, EARLIER_LEVELS[kind])
    values = np.asarray(image)
    if (values < low).any() or (values > high).any():
        seen.append("clipped")
    if kind == "F" and (low, high) == (0, 255):
        return image.convert("L")
    bits = int(high + 1).bit_length() - 1
    if kind == "I" and low == 0 and high == 2**bits - 1:
        return Image.fromarray((values >> (bits - 8)).clip(0, 255).astype(np.uint8))
    scaled = (values.astype(np.float64) - low) * (255 / (high - low))
    return Image.fromarray(np.nan_to_num(scaled).round().clip(0, 255).astype(np.uint8))


def levels_of(files: Iterable[Path]) -> dict[str, list[float]]:
    """The range of the numbers in images of more than 8 bits a channel, by their kind; none where there are no such.

    It is the usual one that holds them: 8, 12 or 16 bits; for floating point numbers 0 to 1, 0 to 255 or -1 to 1;
    otherwise their own.
    """
    found: dict[str, tuple[float, float]] = {}
    for path in files:
        if path.suffix.lower() not in DEEP_FILES:
            continue
        with opened(path) as image:
            if image.mode[0] not in "IF":
                continue
            values = np.asarray(image)
            if (finite := values[np.isfinite(values)]).size:
                low, high = found.get(image.mode[0], (np.inf, -np.inf))
                found[image.mode[0]] = min(low, finite.min().item()), max(high, finite.max().item())
    usual = {"I": ((0, 255), (0, 4095), (0, 65535)), "F": ((0, 1), (0, 255), (-1, 1))}
    levels = {}
    for kind, (low, high) in found.items():
        fitting = [each for each in usual[kind] if each[0] <= low and high <= each[1]]
        levels[kind] = list(fitting[0] if fitting else (low, max(high, low + 1)))
    return levels
