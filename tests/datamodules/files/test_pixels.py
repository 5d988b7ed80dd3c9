import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.errors import DataError
from datamodules.files.pixels import HEIF_FILES, IMAGE_FILES, TURNS, decode, levels_of, opened

Values = np.ndarray[Any, Any]
ARROW = np.array([[255, 200, 150, 90], [0, 0, 0, 60], [0, 0, 0, 30]], np.uint8)  # no turn of it is another


def saved(folder: Path, name: str, values: Values, mode: str | None = None) -> Path:
    Image.fromarray(values, mode).save(folder / name)
    return folder / name


def turned(folder: Path, name: str, orientation: int, picture: Values, **options: Any) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture).save(folder / name, exif=exif, **options)
    return folder / name


@pytest.mark.parametrize("orientation", [1, *TURNS])
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_an_image_is_turned_as_its_exif_says_once(orientation: int, suffix: str, tmp_path: Path) -> None:
    upright = np.kron(ARROW, np.ones((16, 16), np.uint8))
    upside = Image.fromarray(upright)
    wanted = upside if orientation == 1 else upside.transpose(TURNS[orientation])
    options = {"quality": 95} if suffix == "jpg" else {"lossless": True} if suffix == "webp" else {}
    found = decode(turned(tmp_path, f"a.{suffix}", orientation, upright, **options), 1, None)
    assert found.shape == (1, *wanted.size[::-1])
    assert np.abs(found[0].numpy().astype(int) - np.asarray(wanted).astype(int)).max() <= 3
    scaled = decode(tmp_path / f"a.{suffix}", 1, 12)  # of a JPEG a draft
    assert abs(int(scaled[0, 0, 0]) - int(np.asarray(wanted)[8, 8])) <= 60


def test_a_damaged_exif_beside_a_whole_picture_is_no_obstacle(tmp_path: Path) -> None:
    Image.fromarray(ARROW).save(tmp_path / "a.png", exif=b"Exif\0\0no header of a TIFF")
    assert torch.equal(decode(tmp_path / "a.png", 1, None)[0], torch.from_numpy(ARROW))


def shape_of(value: int, mode: str) -> Image.Image:
    """A square of one brightness in the middle, and around it black, all of it transparent."""
    alpha = np.zeros((6, 6), np.uint8)
    alpha[2:4, 2:4] = 255
    picture = Image.fromarray(np.where(alpha > 0, value, 0).astype(np.uint8)).convert("RGB")
    picture.putalpha(Image.fromarray(alpha))
    return picture.convert(mode)


@pytest.mark.parametrize(("value", "background"), [(0, 255), (128, 255), (255, 0), (245, 0)])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize("channels", [1, 3])
def test_transparency_becomes_white_or_black_behind_white(
    value: int, background: int, mode: str, channels: int, tmp_path: Path
) -> None:
    shape_of(value, mode).save(tmp_path / "a.png")
    seen: list[str] = []
    found = decode(tmp_path / "a.png", channels, None, seen=seen)
    assert found[:, 0, 0].tolist() == [background] * channels
    assert found[:, 2, 2].tolist() == [value] * channels
    assert "opaque" in seen


def test_a_colour_that_stands_for_transparency_is_left_out(tmp_path: Path) -> None:
    Image.fromarray(np.array([[[9, 9, 9], [200, 0, 0]]], np.uint8)).save(tmp_path / "a.png", transparency=(9, 9, 9))
    assert decode(tmp_path / "a.png", 3, None)[:, 0].T.tolist() == [[255, 255, 255], [200, 0, 0]]


@pytest.mark.parametrize("alpha", [0, 255])
def test_a_channel_of_transparency_that_says_nothing_changes_nothing(alpha: int, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (5, 5, 3), np.uint8)
    saved(tmp_path, "a.png", np.dstack([values, np.full((5, 5), alpha, np.uint8)]))
    assert torch.equal(decode(tmp_path / "a.png", 3, None).permute(1, 2, 0), torch.from_numpy(values))


def test_the_four_inks_of_print_are_read_as_colours(tmp_path: Path) -> None:
    colours = np.zeros((16, 16, 3), np.uint8)
    colours[:, 8:] = [250, 250, 250]
    for name in ("a.jpg", "a.tif"):
        Image.fromarray(colours).convert("CMYK").save(tmp_path / name)
        assert np.abs(decode(tmp_path / name, 3, None).permute(1, 2, 0).numpy() - colours.astype(int)).max() < 12


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        (np.linspace(0, 1, 256, dtype=np.float32), (0, 1)),
        (np.linspace(0, 255, 256, dtype=np.float32), (0, 255)),
        (np.linspace(-1, 1, 256, dtype=np.float32), (-1, 1)),
        (np.linspace(-1000, 3000, 256, dtype=np.float32), (-1000, 3000)),
        (np.arange(256, dtype=np.uint16), (0, 255)),
        (np.arange(256, dtype=np.uint16) * 16, (0, 4095)),
        (np.arange(256, dtype=np.uint16) * 257, (0, 65535)),
        (np.arange(256, dtype=np.int32) * 257, (0, 65535)),
        (np.arange(256, dtype=np.int32) * 2**20, (0, 255 * 2**20)),
        (np.arange(256, dtype=np.int32) * 100 - 12_800, (-12_800, 12_700)),
    ],
)
def test_deep_pixels_are_scaled_by_the_range_that_holds_them(
    values: Values, levels: tuple[float, float], tmp_path: Path
) -> None:
    whole = saved(tmp_path, "a.tif", values.reshape(16, 16))
    dark = saved(tmp_path, "b.tif", values.reshape(16, 16)[:8])
    found = levels_of([whole, dark])
    assert found == {"F" if values.dtype == np.float32 else "I": list(levels)}
    assert (decode(whole, 1, None, found).flatten().int() - torch.arange(256)).abs().max() <= 1
    assert (decode(dark, 1, None, found).flatten().int() - torch.arange(128)).abs().max() <= 1


def test_numbers_beyond_the_range_are_clipped_and_no_number_is_black(tmp_path: Path) -> None:
    seen: list[str] = []
    path = saved(tmp_path, "a.tif", np.array([[-1, 0.5, 2, np.nan]], np.float32))
    assert decode(path, 1, None, {"F": [0, 1]}, seen).flatten().tolist() == [0, 128, 255, 0]
    assert seen == ["clipped"]
    with pytest.raises(DataError, match="floating point numbers, unlike"):
        decode(path, 1, None, {})


@pytest.mark.parametrize("suffix", ["gif", "tif", "webp", "png"])
def test_of_several_frames_the_first_is_read(suffix: str, tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (40, 80, 120)]
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], **options)
    seen: list[str] = []
    assert decode(tmp_path / f"a.{suffix}", 3, None, seen=seen).unique().tolist() == [40]
    assert seen == ["frames"]


@pytest.mark.parametrize("suffix", sorted({*IMAGE_FILES} - {*HEIF_FILES}))
def test_every_kind_of_file_is_read_whatever_the_case_of_its_ending(suffix: str, tmp_path: Path) -> None:
    kind = {".apng": "PNG", ".jpe": "JPEG", ".jfif": "JPEG", ".pgm": "PPM", ".pbm": "PPM", ".pnm": "PPM"}.get(suffix)
    file = tmp_path / f"a{suffix.upper()}"
    Image.fromarray(np.full((16, 16), 255, np.uint8)).convert("1" if suffix == ".pbm" else "L").save(file, kind)
    assert decode(file, 1, None).float().mean() > 250


def test_heif_is_read_where_its_package_is(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.fromarray(np.full((64, 64, 3), 200, np.uint8))).save(tmp_path / "a.heic", quality=90)
    assert (decode(tmp_path / "a.heic", 3, None).float() - 200).abs().max() < 5


def test_a_file_that_may_not_be_read_is_not_called_incomplete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path, *_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    path = saved(tmp_path, "a.png", ARROW)
    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(DataError, match=rf"a\.png: cannot be read \({os.strerror(errno.EACCES)}\)$"), opened(path):
        pass
