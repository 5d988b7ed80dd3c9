import gzip
import json
import math
import os
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.plugins import Precision
from PIL import Image
from torch import Tensor

from datamodules import images as images_module
from datamodules.augmentation.images import ImageAugmentation, shifted
from datamodules.errors import DataError
from datamodules.files import images
from datamodules.files.pixels import decode
from datamodules.files.published_images import FASHION_CLASSES
from datamodules.images import Images
from datamodules.loading import batched
from scripts.predict import main as predict
from tests.helpers.stopping import SHORT, train

CLASSES = ["猫", "dog", "sea horse"]
Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def pixels(seed: int, height: int = 6, width: int = 6, channels: int = 3) -> Pixels:
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def as_tensor(picture: Pixels) -> Tensor:
    return torch.from_numpy(picture.reshape(*picture.shape[:2], -1)).permute(2, 0, 1)


def write(file: Path, seed: int, **shape: int) -> Pixels:
    picture = pixels(seed, **shape)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(file)
    return picture


def write_classes(folder: Path, each: int = 8, first: int = 0, **shape: int) -> list[tuple[Path, str, Pixels]]:
    """`each` images of every class, and what stands in them, in the order of their paths."""
    written = []
    for place, name in enumerate(sorted(CLASSES)):
        for number in range(each):
            file = folder / name / f"{number:02}.png"
            written.append((file, name, write(file, first + place * each + number, **shape)))
    return written


def ready(path: Path, **options: Any) -> Images:
    data = Images(str(path), **{"batch_size": 1, **options})
    data.setup()
    return data


def everything(data: Images) -> tuple[Tensor, Tensor]:
    index = torch.arange(sum(map(len, data.splits)))
    batch: tuple[Tensor, Tensor] = data.examples(index)[index]
    return batch


def assert_holds(data: Images, written: list[tuple[Path, str, Pixels]]) -> None:
    found, target = everything(data)
    assert torch.equal(found, torch.stack([as_tensor(picture) for _, _, picture in written]))
    assert [data.class_names[code] for code in target.tolist()] == [name for _, name, _ in written]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("in_memory", [True, False])
def test_a_folder_of_class_folders_is_read_whole(
    channels: int, in_memory: bool, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not in_memory:
        monkeypatch.setattr(images_module, "IN_MEMORY", 0)
    written = write_classes(place, channels=channels, height=5, width=7)
    data = ready(place)
    assert (data.images is not None) == in_memory
    assert (data.in_channels, data.image_size, data.num_classes) == (channels, 7, 3)
    assert data.class_names == sorted(CLASSES)
    assert_holds(data, written)


@pytest.mark.parametrize("val", ["val", "valid", "Validation", "dev"])
def test_split_folders_are_kept(val: str, place: Path) -> None:
    written = write_classes(place / "train", 4)
    written += write_classes(place / val, 2, first=100) + write_classes(place / "test", 3, first=200)
    data = ready(place)
    assert [len(split) for split in data.splits] == [12, 6, 9]
    for split, folder in zip(data.splits, ("train", val, "test"), strict=True):
        assert {data.files[number].parts[-3] for number in split.tolist()} == {folder}
    by_file = {file: (file, name, picture) for file, name, picture in written}
    assert_holds(data, [by_file[file] for file in data.files])


def test_a_folder_that_is_no_split_is_refused_beside_train(place: Path) -> None:
    write_classes(place / "train", 4)
    (place / "notes").mkdir()
    ready(place)
    write_classes(place / "other", 2, first=100)
    with pytest.raises(DataError, match=r"train are named like splits .*, but other are not"):
        ready(place)


def test_a_class_called_train_is_one_in_a_split(place: Path) -> None:
    written = write_classes(place / "all", 20)
    for split in ("train", "test"):
        for name, label in (("car", written[0][1]), ("train", written[-1][1])):
            shutil.copytree(place / "all" / label, place / split / name)
    shutil.rmtree(place / "all")
    assert ready(place).class_names == ["car", "train"]


def test_without_a_validation_folder_it_is_cut_off_training(place: Path) -> None:
    write_classes(place / "train", 8)
    write_classes(place / "test", 3, 100)
    data = ready(place, val_fraction=0.25)
    assert [len(split) for split in data.splits] == [18, 6, 9]
    assert torch.bincount(data.labels[data.splits.val]).tolist() == [2, 2, 2]


@pytest.mark.parametrize("header", [None, "path,label", "图片,类别"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_list_of_paths_and_labels_is_read(header: str | None, encoding: str, place: Path) -> None:
    written = write_classes(place / "images")[::-1]
    lines = [header] if header else []
    lines += [f'"{file.relative_to(place)}", {name}' for file, name, _ in written]
    (place / "list.csv").write_text("\n".join(lines) + "\n", encoding=encoding)
    option = "gb18030" if encoding == "gb18030" else "utf-8"
    assert_holds(ready(place / "list.csv", encoding=option), written)


def test_a_list_may_say_the_splits(place: Path) -> None:
    written = write_classes(place)
    splits = ["train", "Validation", "test", "train"] * 6
    lines = [
        f"{file.relative_to(place)},{name},{split}" for (file, name, _), split in zip(written, splits, strict=True)
    ]
    (place / "list.csv").write_text("\n".join(lines))
    data = ready(place / "list.csv")
    assert data.splits.train.tolist() == [number for number in range(24) if number % 4 in (0, 3)]
    assert data.splits.val.tolist() == [*range(1, 24, 4)]
    assert data.splits.test.tolist() == [*range(2, 24, 4)]
    assert_holds(data, written)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 8), (8, 20), (5, 3), (640, 480)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_an_image_of_any_shape_becomes_the_square_in_its_middle(
    height: int, width: int, channels: int, suffix: str, tmp_path: Path
) -> None:
    side = min(height, width)
    picture = np.full((height, width, channels), 255, np.uint8)  # white outside of the square, grey inside
    top, left = (height - side) // 2, (width - side) // 2
    picture[top : top + side, left : left + side] = 100
    Image.fromarray(picture.squeeze()).save(tmp_path / f"a.{suffix}", quality=95)
    found = decode(tmp_path / f"a.{suffix}", channels, 8)
    assert found.shape == (channels, 8, 8)
    assert (found[:, 2:-2, 2:-2].float() - 100).abs().max() <= 3


def test_images_of_different_sizes_need_image_size(place: Path, refused: Any) -> None:
    write_classes(place, 8)
    write(place / "dog" / "99.png", 99, height=9, width=4)
    with refused(place / "dog" / "99.png", "4 x 9 pixels", "expected 6 x 6", "--data.image_size"):
        ready(place)
    data = ready(place, image_size=4)
    assert everything(data)[0].shape == (25, 3, 4, 4)
    assert data.image_size == 4


@pytest.mark.parametrize(("written", "wanted"), [(1, 3), (3, 1)])
def test_grey_and_colour_are_turned_into_each_other_on_demand(written: int, wanted: int, place: Path) -> None:
    made = write_classes(place, channels=written)
    mode = "RGB" if wanted == 3 else "L"
    expected = [(file, name, np.array(Image.fromarray(picture).convert(mode))) for file, name, picture in made]
    assert_holds(ready(place, channels=wanted), expected)


def test_grey_and_colour_in_one_folder_are_as_the_first_is(place: Path) -> None:
    write_classes(place, channels=1)
    write(place / "dog" / "99.png", 99, channels=3)
    assert everything(ready(place))[0].shape == (25, 1, 6, 6)


def test_sixteen_bits_a_pixel_keep_their_upper_half(tmp_path: Path) -> None:
    values = np.arange(256, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(values * 256 + 17).save(tmp_path / "deep.png")
    assert torch.equal(decode(tmp_path / "deep.png", 1, None), torch.from_numpy(values.astype(np.uint8))[None])


def test_the_mean_and_spread_of_each_channel_are_those_of_the_training_split(place: Path) -> None:
    written = write_classes(place)
    data = ready(place)
    train = np.stack([written[number][2] for number in data.splits.train.tolist()]) / 255
    assert data.mean == pytest.approx(train.mean((0, 1, 2)))
    assert data.std == pytest.approx(train.std((0, 1, 2)))
    images, target = data.on_after_batch_transfer(data.examples(data.splits.train)[torch.arange(len(train))], 0)
    assert images.mean((0, 2, 3)).abs().max() < 1e-5
    assert (images.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-5
    assert torch.equal(target, data.labels[data.splits.train])


def test_nothing_is_learned_from_images_outside_the_training_split(place: Path) -> None:
    written = write_classes(place)
    before = ready(place)
    for number in torch.cat([before.splits.val, before.splits.test]).tolist():
        write(written[number][0], 1000 + number)
    assert ready(place).state_dict() == before.state_dict()
    write(written[before.splits.train[0]][0], 2000)
    assert ready(place).state_dict() != before.state_dict()


def test_moved_images_are_the_image_moved_with_black_coming_in() -> None:
    torch.manual_seed(0)
    image = torch.arange(1, 2 * 5 * 5 + 1, dtype=torch.uint8).view(1, 2, 5, 5)
    moved = shifted(image.expand(200, -1, -1, -1), 1)
    padded = torch.nn.functional.pad(image[0], (1, 1, 1, 1))
    possible = {
        padded[:, down : down + 5, right : right + 5].numpy().tobytes() for down in range(3) for right in range(3)
    }
    assert {one.numpy().tobytes() for one in moved} == possible


def test_mirrored_images_are_the_image_or_its_mirror_image() -> None:
    torch.manual_seed(0)
    image = torch.arange(18, dtype=torch.uint8).view(1, 2, 3, 3)
    mirrored = ImageAugmentation(flip=True).augment(image.expand(100, -1, -1, -1))
    turned = (mirrored == image.flip(-1)).flatten(1).all(1)
    assert ((mirrored == image).flatten(1).all(1) ^ turned).all()
    assert 30 < turned.sum() < 70


class _Trainer:
    precision_plugin = Precision()

    def __init__(self, training: bool) -> None:
        self.training = training


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        *({"flip": True}, {"shift": 2}, {"crop": 0.5}, {"rotate": 90.0}, {"jitter": 0.5}),
        *({"auto_augment": "randaugment"}, {"erase": 0.5}, {"mixup": 0.5}, {"cutmix": 1.0}),
    ],
)
def test_images_are_changed_in_training_only(options: dict[str, Any], training: bool) -> None:
    torch.manual_seed(0)
    data: Any = Images("digits", **options)
    data.setup()
    data.trainer = _Trainer(training)
    batch = data.examples(data.splits.test)[torch.arange(50)]
    found, target = data.on_after_batch_transfer(batch, 0)
    assert torch.equal(found, data.normalise(batch[0])) != training
    assert torch.equal(target, batch[1]) != (training and bool(data.augmentation.mixup or data.augmentation.cutmix))


def test_normalising_a_batch_creates_no_constants_and_follows_a_restored_state(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Images("digits")
    data.setup()
    batch = torch.arange(128, dtype=torch.uint8).view(2, 1, 8, 8)
    first = data.normalise(batch)
    data.load_state_dict(data.state_dict() | {"mean": [0.25], "std": [0.5]})
    monkeypatch.setattr(torch, "tensor", lambda *args, **options: pytest.fail("a constant is created for each batch"))
    found = data.normalise(batch)
    assert not torch.equal(found, first)
    torch.testing.assert_close(found, (batch / 255 - 0.25) / 0.5)


def test_what_was_normalised_can_be_seen_as_it_was(place: Path) -> None:
    write_classes(place)
    data = ready(place)
    images, _ = data.examples(data.splits.train)[torch.arange(4)]
    torch.testing.assert_close(data.pixels(data.normalise(images)), images / 255, atol=1e-5, rtol=0)


def restored(data: Images, dataset: object, **options: Any) -> Images:
    other = Images(str(dataset), **{"batch_size": 1, **options})
    other.load_state_dict(data.state_dict())
    return other


@pytest.mark.parametrize("shape", [(6, 6), (5, 8)])
def test_a_restored_state_reads_the_same_images_alike(shape: tuple[int, int], place: Path) -> None:
    written = write_classes(place, height=shape[0], width=shape[1])
    other = restored(ready(place), place)
    other.setup()
    assert other.shape == [3, *shape]
    assert_holds(other, written)


def test_a_restored_state_brings_other_images_to_the_size_it_knows(place: Path) -> None:
    write_classes(place / "small", height=6, width=6)
    write_classes(place / "large", height=30, width=40, channels=1)
    other = restored(ready(place / "small"), place / "large")
    other.setup_test()
    assert next(iter(other.test_dataloader()))[0].shape == (1, 3, 6, 6)


@pytest.mark.parametrize("in_memory", [True, False])
def test_input_is_a_file_or_a_folder_in_the_order_of_its_paths(
    in_memory: bool, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_classes(place / "train")
    data = restored(ready(place / "train"), place / "train")
    if not in_memory:
        monkeypatch.setattr(images_module, "IN_MEMORY", 0)
    names = ["b 图.png", "a.png", "inner/c.png"]
    made = {place / "new" / name: write(place / "new" / name, 500 + number) for number, name in enumerate(names)}
    (place / "new" / "notes.txt").write_text("no image")
    found, files = data.read_input(place / "new")
    assert list(map(str, files)) == sorted(map(str, made))
    assert torch.equal(found[torch.arange(3)], torch.stack([as_tensor(made[Path(file)]) for file in files]))
    one, files = data.read_input(place / "new" / names[0])
    assert list(files) == [place / "new" / names[0]]
    assert torch.equal(one[torch.arange(1)][0], as_tensor(made[place / "new" / names[0]]))


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("damage", ["cut", "text", "empty"])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_corrupt_image_is_named(first: bool, damage: str, suffix: str, place: Path, refused: Any) -> None:
    write_classes(place)
    bad = place / sorted(CLASSES)[0] / f"{'0' if first else '9'}.{suffix}"
    write(bad, 0)
    content = {"cut": bad.read_bytes()[: bad.stat().st_size // 2], "text": b"no image", "empty": b""}[damage]
    bad.write_bytes(content)
    with refused(bad, "not a complete image"):
        ready(place)


def test_a_corrupt_image_in_the_input_is_named_before_anything_is_predicted(place: Path, refused: Any) -> None:
    write_classes(place / "train")
    data = ready(place / "train")
    (place / "new").mkdir()
    (place / "new" / "bad.png").write_bytes(b"no image")
    for given in (place / "new", place / "new" / "bad.png"):
        with refused(place / "new" / "bad.png", "not a complete image"):
            data.set_input(given)


def test_a_folder_without_images_is_refused(place: Path, refused: Any) -> None:
    with refused(place, "no images", "folder of class folders", ".png"):
        ready(place)
    write(place / "loose.png", 0)
    with refused(place, "no images", "folder of class folders"):
        ready(place)
    write_classes(place / "some")
    data = ready(place / "some")
    (place / "empty").mkdir()
    with refused(f"--input {place / 'empty'}", "no examples"):
        data.set_input(place / "empty")


def test_a_single_class_is_refused(place: Path, refused: Any) -> None:
    for number in range(20):
        write(place / "dog" / f"{number}.png", number)
    with refused(place, "one class, dog"):
        ready(place)


def test_a_class_that_the_training_folder_lacks_is_refused(place: Path, refused: Any) -> None:
    write_classes(place / "train")
    write_classes(place / "test")
    write(place / "test" / "cow" / "0.png", 0)
    with refused(place, "training split lacks class cow", "1 in test"):
        ready(place)


def test_a_test_folder_without_a_training_list_is_refused(place: Path, refused: Any) -> None:
    written = write_classes(place)
    (place / "list.csv").write_text("\n".join(f"{file.relative_to(place)},{name},test" for file, name, _ in written))
    with refused(place / "list.csv", "split for test", "none for train"):
        ready(place / "list.csv")


def test_a_label_that_a_restored_model_does_not_know_is_refused(place: Path, refused: Any) -> None:
    write_classes(place / "train")
    data = ready(place / "train")
    write(place / "new" / "cow" / "0.png", 0)
    with refused(place / "new", "label cow", ", ".join(sorted(CLASSES))):
        restored(data, place / "new").setup_test()


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("images/none.png,dog", [":3:", "there is no file", "none.png"]),
        ("a.png", [":3:", "expected 2 fields", "found 1"]),
        ("a.png,dog,train,more", [":3:", "expected 2 fields", "found 4"]),
    ],
)
def test_a_line_of_a_list_that_cannot_be_understood_is_named(
    line: str, parts: list[str], place: Path, refused: Any
) -> None:
    write(place / "a.png", 0)
    (place / "list.csv").write_text(f"path,label\na.png,dog\n{line}\na.png,cat\n")
    with refused(place / "list.csv", *parts):
        ready(place / "list.csv")


def test_a_split_that_is_none_is_named(place: Path, refused: Any) -> None:
    write(place / "a.png", 0)
    (place / "list.csv").write_text("path,label,split\na.png,dog,train\na.png,dog,third\na.png,cat,test\n")
    with refused(place / "list.csv", ":3:", "split is third", "train, val", "test"):
        ready(place / "list.csv")


def test_a_first_line_that_names_an_image_is_no_header(place: Path, refused: Any) -> None:
    (place / "list.csv").write_text("misspelt.png,dog\n")
    with refused(place / "list.csv", ":1:", "there is no file", "misspelt.png"):
        ready(place / "list.csv")


def test_some_images_in_a_split_and_some_in_none_are_refused(place: Path, refused: Any) -> None:
    write(place / "a.png", 0)
    write(place / "b.png", 1)
    (place / "list.csv").write_text("a.png,dog,train\nb.png,cat,\n")
    with refused(place / "list.csv", place / "b.png"):
        ready(place / "list.csv")


def test_a_list_that_is_not_text_is_refused_with_the_byte(place: Path, refused: Any) -> None:
    (place / "list.csv").write_bytes("a.png,数据\n".encode("gb18030"))
    with refused(place / "list.csv", "byte 6 (0xca)", "utf-8", "--data.encoding"):
        ready(place / "list.csv")


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"image_size": 0}, ["--data.image_size", "at least 1", "got 0"]),
        ({"channels": 4}, ["--data.channels", "1 (grey) or 3 (colour)", "got 4"]),
        ({"shift": -1}, ["--data.shift", "got -1"]),
        ({"erase": 1.5}, ["--data.erase", "got 1.5"]),
        ({"mixup": -0.1}, ["--data.mixup", "got -0.1"]),
        ({"cutmix": math.inf}, ["--data.cutmix", "got inf"]),
        ({"crop": 0.0}, ["--data.crop", "above 0", "got 0.0"]),
        ({"crop": 1.5}, ["--data.crop", "up to 1", "got 1.5"]),
        ({"rotate": -5.0}, ["--data.rotate", "0 to 180", "got -5.0"]),
        ({"jitter": 2.0}, ["--data.jitter", "got 2.0"]),
        ({"encoding": "utf-9"}, ["--data.encoding utf-9"]),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], parts: list[str], refused: Any) -> None:
    with refused(*parts):
        Images("digits", **options)


def idx(values: Pixels) -> bytes:
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


def write_mnist(root: Path, packed: bool, labels: Pixels | None = None, name: str = "MNIST") -> tuple[Pixels, Pixels]:
    """Forty images to train on and twenty to test on, in MNIST's files."""
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    pictures = np.random.default_rng(0).integers(0, 256, (60, 28, 28), dtype=np.uint8)
    labels = np.arange(60, dtype=np.uint8) % 10 if labels is None else labels
    parts = {
        "train-images-idx3-ubyte": pictures[:40],
        "train-labels-idx1-ubyte": labels[:40],
        "t10k-images-idx3-ubyte": pictures[40:],
        "t10k-labels-idx1-ubyte": labels[40:],
    }
    for name, part in parts.items():
        content = gzip.compress(idx(part)) if packed else idx(part)
        (folder / (f"{name}.gz" if packed else name)).write_bytes(content)
    return pictures, labels


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(("name", "names"), [("MNIST", [*"0123456789"]), ("FashionMNIST", FASHION_CLASSES)])
def test_mnist_is_read_from_the_root_with_its_test_split_whole(
    name: str, names: list[str], packed: bool, place: Path
) -> None:
    pictures, labels = write_mnist(place, packed, name=name)
    data = Images(name, root=str(place), batch_size=1)
    data.setup()
    found, target = everything(data)
    assert data.splits.test.tolist() == [*range(40, 60)]
    assert torch.equal(found, torch.from_numpy(pictures)[:, None])
    assert [data.class_names[code] for code in target] == [names[label] for label in labels]


def test_a_label_out_of_range_is_refused(place: Path, refused: Any) -> None:
    labels = np.arange(60, dtype=np.uint8) % 10
    labels[33] = 200
    write_mnist(place, True, labels)
    with refused(place, "example 34 has label 200", "0 to 9"):
        Images("MNIST", root=str(place)).setup()


def test_a_truncated_file_of_a_published_set_is_named(place: Path, refused: Any) -> None:
    write_mnist(place, packed=False)
    file = place / "MNIST" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    with refused(file, "truncated", "40 x 28 x 28"):
        Images("MNIST", root=str(place)).setup()


def write_cifar10(root: Path) -> Pixels:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir()
    records = np.random.default_rng(0).integers(0, 256, (60, 3073), dtype=np.uint8)
    records[:, 0] = np.arange(60) % 10
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    for number, name in enumerate(names):
        records[number * 10 : number * 10 + 10].tofile(folder / name)
    return records


def test_cifar10_is_read_where_others_keep_it(place: Path, refused: Any) -> None:
    records = write_cifar10(place)
    data = Images("CIFAR10", root=str(place), batch_size=1)
    data.setup()
    found, target = everything(data)
    assert data.splits.test.tolist() == [*range(50, 60)]
    assert torch.equal(found, torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32)))
    assert [data.class_names[code] for code in target.tolist()[:4]] == ["airplane", "automobile", "bird", "cat"]
    bad = place / "cifar-10-batches-bin" / "data_batch_3.bin"
    bad.write_bytes(bad.read_bytes()[:-5])
    with refused(bad, "truncated"):
        Images("CIFAR10", root=str(place)).setup()


def test_images_of_another_number_of_channels_than_in_training_are_refused(place: Path, refused: Any) -> None:
    write_cifar10(place)
    digits = Images("digits")
    digits.setup()
    with refused("CIFAR10", "[3, 8, 8]", "expected [1, 8, 8]"):
        restored(digits, "CIFAR10", root=str(place)).setup_test()


@pytest.mark.real_data
def test_the_published_mnist_is_whole(shared_data: Path) -> None:
    data = Images("MNIST", root=str(shared_data))
    data.setup()
    assert data.splits.test.tolist() == [*range(60_000, 70_000)]
    assert len(data.splits.train) + len(data.splits.val) == 60_000
    assert data.class_names == list("0123456789")
    assert data.mean[0] == pytest.approx(0.1307, abs=1e-3)  # what everybody normalises MNIST by
    assert data.std[0] == pytest.approx(0.3081, abs=2e-3)


@pytest.mark.real_data
def test_a_published_folder_of_flowers_is_read(shared_data: Path) -> None:
    data = ready(shared_data / "vision" / "flowers12", image_size=32)
    train, val, test = map(len, data.splits)
    assert (train + val, test, data.num_classes) == (720, 240, 12)
    assert torch.bincount(data.labels[data.splits.test]).tolist() == [20] * 12
    assert data.images is not None
    assert data.images.shape == (960, 3, 32, 32)


@pytest.mark.parametrize("precision", ["64", "bf16-true"])
def test_images_come_in_the_precision_of_the_weights(precision: str, tmp_path: Path) -> None:
    words = ["--model", "cnn", *SHORT, "--data.batch_size", "16", "--trainer.max_steps", "1", "--logs", str(tmp_path)]
    assert train([*words, "--trainer.precision", precision]) == 0


def test_several_processes_decode_images_beyond_memory(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_classes(place)
    expected = list(ready(place, batch_size=4).train_dataloader())
    decoders = place.parent / "decoders"
    decoders.mkdir()

    def noted(*arguments: Any) -> Tensor:
        (decoders / str(os.getpid())).touch()
        return decode(*arguments)

    monkeypatch.setattr(images_module, "IN_MEMORY", 0)
    data = ready(place, batch_size=4, num_workers=2)
    monkeypatch.setattr(images, "decode", noted)
    torch.testing.assert_close(list(data.train_dataloader()), expected, rtol=0, atol=0)
    assert len(list(decoders.iterdir())) == 2
    assert not (decoders / str(os.getpid())).exists()


def test_processes_are_chosen_where_each_batch_reads_files(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_classes(place)
    monkeypatch.setattr(batched, "FEW", 1)
    monkeypatch.setattr(batched, "num_cpus", lambda: 2)
    assert ready(place).train_dataloader().num_workers == 0, "they are in memory"
    monkeypatch.setattr(images_module, "IN_MEMORY", 0)
    data = ready(place)
    assert data.train_dataloader().num_workers == 1
    assert ready(place, num_workers=0).train_dataloader().num_workers == 0
    for cpus, chosen in ((1, 0), (2, 1), (64, 8)):
        monkeypatch.setattr(batched, "num_cpus", lambda cpus=cpus: cpus)
        assert data.spare_workers(data.split_examples("train")) == chosen
    monkeypatch.setattr(batched, "FEW", 500)
    assert data.train_dataloader().num_workers == 0, "they are decoded before processes have begun"


@pytest.mark.parametrize("beyond", [False, True])
def test_images_are_held_up_to_the_limit(beyond: bool, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert images_module.IN_MEMORY == 2**30  # which the README states
    decoded = sum(picture.nbytes for _, _, picture in write_classes(place))
    monkeypatch.setattr(images_module, "IN_MEMORY", decoded - beyond)
    assert (ready(place).images is None) == beyond


def test_what_decoding_changed_is_told_once_with_counts(place: Path, capsys: Any) -> None:
    write_classes(place, channels=1)
    frames = [Image.fromarray(pixels(seed, channels=1)) for seed in (90, 91)]
    frames[0].save(place / "dog" / "90.gif", save_all=True, append_images=frames[1:])
    write(place / "dog" / "92.png", 92, channels=4)
    Image.fromarray(pixels(93, channels=1)).convert("F").save(place / "dog" / "93.tif")
    data = ready(place)
    assert sorted(note.removeprefix(f"{place}: ") for note in data.notes) == [
        "1 of 27 images are transparent in parts: these become white, or black where the rest is white",
        "1 of 27 images have colours, but are read in grey, as the first is; --data.channels 3 keeps them",
        "1 of 27 images hold several frames, of which the first is read",
        "images of floating point numbers: 0 is read as black, 255 as white",
    ]
    assert capsys.readouterr().err.count("note: ") == 4


@pytest.mark.parametrize("in_memory", [True, False])
def test_prediction_scales_deep_pixels_as_training_did(
    in_memory: bool, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not in_memory:
        monkeypatch.setattr(images_module, "IN_MEMORY", 0)
    for number in range(20):
        folder = place / "train" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.array([[number / 10 - 4, 6]], np.float32)).save(folder / f"{number}.tif")
    data = ready(place / "train")
    assert data.levels == {"F": [-4, 6]}
    Image.fromarray(np.array([[-4, 1]], np.float32)).save(place / "dark.tif")
    found, _ = restored(data, place).read_input(place / "dark.tif")
    assert found[torch.arange(1)].flatten().tolist() == [0, 128]


def test_a_state_of_an_earlier_version_has_its_levels() -> None:
    data = Images("digits")
    data.setup()
    earlier = {name: value for name, value in data.state_dict().items() if name not in ("levels", "num_examples")}
    other = Images("digits")
    other.load_state_dict(earlier)
    assert other.levels == {"I": [0, 65535], "F": [0, 255]}
    saved = {
        name: digest
        for name, digest in data.fingerprint.items()
        if name not in ("learned levels", "learned num examples")
    }
    assert data.changed_since(saved, earlier) is None


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_split_in_which_all_pixels_are_equal_is_refused(
    split: str, in_memory: bool, place: Path, monkeypatch: pytest.MonkeyPatch, refused: Any
) -> None:
    if not in_memory:
        monkeypatch.setattr(images_module, "IN_MEMORY", 0)
    for name in ("train", "val", "test"):
        write_classes(place / name, 2)
    for file in (place / split).rglob("*.png"):
        Image.new("RGB", (6, 6), (7, 7, 7)).save(file)
    with refused(place, f"all pixels of the {split} split are 7"):
        ready(place)


def test_images_of_one_colour_each_are_pictures(place: Path) -> None:
    for number in range(20):
        folder = place / "ab"[number % 2]
        folder.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4), (number,) * 3).save(folder / f"{number}.png")
    ready(place)


def test_input_may_be_a_list_whose_names_the_predictions_have(place: Path) -> None:
    written = write_classes(place / "train")
    data = restored(ready(place / "train"), place / "train")
    made = {name: write(place / "test" / f"{name}.png", 300 + number) for number, name in enumerate("bac")}
    (place / "test.csv").write_text("id\nc\na\nb\na\n")
    found, names = data.read_input(place / "test.csv")
    assert list(names) == ["c", "a", "b", "a"]
    assert torch.equal(found[torch.arange(4)], torch.stack([as_tensor(made[name]) for name in "caba"]))
    relative = [str(file.relative_to(place)) for file, _, _ in written[:2]]
    (place / "some.csv").write_text(f"label,path\ncat,{relative[0]}\ndog,{relative[1]}\n")
    assert list(data.read_input(place / "some.csv")[1]) == relative


def test_several_labels_in_a_cell_are_no_class_of_their_own(place: Path, refused: Any) -> None:
    written = write_classes(place)
    lines = [
        f"{file.relative_to(place)},{'dog|cat' if row % 4 else name}" for row, (file, name, _) in enumerate(written)
    ]
    (place / "list.csv").write_text("path,tags\n" + "\n".join([*lines, f"{written[0][0].relative_to(place)},cat"]))
    with refused(place / "list.csv", "dog|cat seems to be several labels", "--data.multilabel true"):
        ready(place / "list.csv")


def write_labels(place: Path, hot: bool) -> Path:
    written = write_classes(place, 20)
    labels = [{0: "", 1: "cat", 2: "cat|dog", 3: "sea horse"}[row % 4] for row in range(len(written))]
    names = ["cat", "dog", "sea horse"]
    if hot:
        labels = [",".join(str(int(name in label.split("|"))) for name in names) for label in labels]
    lines = [f"{file.relative_to(place)},{label}" for (file, _, _), label in zip(written, labels, strict=True)]
    (place / "list.csv").write_text("\n".join([f"path,{','.join(names) if hot else 'tags'}", *lines]))
    return place / "list.csv"


@pytest.mark.parametrize("hot", [True, False])
def test_an_image_may_have_several_labels(hot: bool, place: Path, refused: Any) -> None:
    path = write_labels(place, hot)
    data = ready(path, multilabel=True)
    assert data.class_names == ["cat", "dog", "sea horse"]
    _, target = everything(data)
    assert target[:4].tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert data.class_counts == data.labels[data.splits.train].sum(0).tolist()
    assert data.num_examples == len(data.splits.train)
    before = data.contents()
    path.write_text(path.read_text().replace("1,1,0" if hot else "cat|dog", "1,0,0" if hot else "cat", 1))
    assert ready(path, multilabel=True).contents()["labels"] != before["labels"]
    assert ready(path, multilabel=True).contents()["pixels"] == before["pixels"]
    header, rows = path.read_text().split("\n", 1)
    first, *others = rows.splitlines()
    path.write_text("\n".join([header.replace("sea horse", "cow"), first if hot else first + "cow", *others]))
    with refused(path, "cow", "which the model does not know", "cat, dog, sea horse"):
        restored(data, path, multilabel=True).setup_test()


@pytest.mark.parametrize(
    ("dataset", "options", "parts"),
    [
        ("digits", {}, ["--data.multilabel true", "digits"]),
        (".", {}, ["--data.multilabel true", "folder", "list of images"]),
        ("digits", {"balance": "over"}, ["--data.balance over"]),
    ],
)
def test_several_labels_are_of_lists_alone(
    dataset: str, options: dict[str, Any], parts: list[str], refused: Any
) -> None:
    with refused(*parts):
        Images(dataset, multilabel=True, **options).setup()


def test_a_run_with_several_labels_trains_predicts_and_tests(place: Path, tmp_path: Path) -> None:
    path = write_labels(place, hot=True)
    words = ["--model", "cnn", *SHORT, "--data", str(path), "--data.batch_size", "8", "--data.mixup", "0.2"]
    assert train([*words, "--data.multilabel", "true", "--logs", str(tmp_path)]) == 0
    run = tmp_path / "cnn" / "version_0"
    predict(["--checkpoint", str(run), "--input", str(path), "--output", str(tmp_path / "out.jsonl")])
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 60
    assert all(row["prediction"] == [name for name, p in row["probabilities"].items() if p >= 0.5] for row in rows)
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    for part in ("test", "baseline"):
        assert {"average_precision", "f1", "f1_micro"} <= {*results[part]}
    assert list(results["per_class"]) == ["cat", "dog", "sea horse"]
