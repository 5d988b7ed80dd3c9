from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.generation import ImagesToDraw
from datamodules.images import Images


@pytest.fixture
def data() -> ImagesToDraw:
    data = ImagesToDraw("digits")
    data.setup()
    return data


def test_has_the_images_that_images_has_and_their_mean_and_spread(data: ImagesToDraw) -> None:
    other = Images("digits")
    other.setup()
    ours, theirs = (each.split_examples("test")[torch.arange(9)][0] for each in (data, other))
    assert torch.equal(data.on_after_batch_transfer(ours, 0), other.on_after_batch_transfer(theirs, 0))
    pixels = data.split_examples("train")[torch.arange(len(data.splits.train))][0]
    assert data.mean == pytest.approx([float(pixels.double().mean()) / 255])
    assert {"mean", "std"} <= set(data.provides)


@pytest.mark.parametrize(
    ("option", "value"), [("auto_augment", "trivial"), ("erase", 0.1), ("mixup", 0.2), ("cutmix", 1.0)]
)
def test_what_would_be_drawn_as_well_is_refused(option: str, value: Any, refused: Any) -> None:
    with refused(f"--data.{option} {value}", "expected"):
        ImagesToDraw("digits", **{option: value})


def test_the_input_is_a_seed_a_line(data: ImagesToDraw, tmp_path: Path) -> None:
    (tmp_path / "种子.txt").write_bytes("\ufeff3\n\n 0 \r\n9223372036854775807\n".encode())
    data.set_input(tmp_path / "种子.txt")
    seeds = next(iter(data.predict_dataloader()))
    assert seeds.tolist() == [3, 0, 2**63 - 1]
    assert data.predicted_names == ["3", "0", "9223372036854775807"]
    assert data.on_after_batch_transfer(seeds, 0) is seeds


@pytest.mark.parametrize("line", ["-1", "1.5", "seven", "9223372036854775808", "1 2"])
def test_a_line_that_is_no_seed_is_named(line: str, data: ImagesToDraw, tmp_path: Path, refused: Any) -> None:
    (tmp_path / "seeds.txt").write_text(f"1\n{line}\n")
    with refused(tmp_path / "seeds.txt", ":2:", "an integer", line):
        data.set_input(tmp_path / "seeds.txt")


def test_a_folder_an_empty_file_and_other_bytes_are_refused(data: ImagesToDraw, tmp_path: Path, refused: Any) -> None:
    with refused(tmp_path, "a folder", "text file with a seed"):
        data.set_input(tmp_path)
    (tmp_path / "empty.txt").write_text("\n")
    with refused(tmp_path / "empty.txt", "holds no examples"):
        data.set_input(tmp_path / "empty.txt")
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    with refused(tmp_path / "image.png", "byte 0 (0x89)"):
        data.set_input(tmp_path / "image.png")
