from pathlib import Path

import pytest

from datamodules.errors import DataError
from datamodules.files.class_folders import image_folders


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def read(folder: Path) -> tuple[list[tuple[str, str, str]], list[str]]:
    notes: list[str] = []
    found = [
        (str(file.relative_to(folder)), label, split)
        for file, label, split in image_folders(notes.append).found_in(folder)
    ]
    return found, [note.removeprefix(str(folder)) for note in notes]


def test_what_systems_and_programs_keep_for_themselves_is_no_class_and_no_image(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.png", "dog/2.JPG", "cat/._1.png", "cat/Thumbs.db", "cat/.DS_Store", "desktop.ini")
    touch(tmp_path, ".ipynb_checkpoints/1-checkpoint.png", "dog/.ipynb_checkpoints/2.png", "__MACOSX/cat/._1.png")
    assert read(tmp_path) == ([("cat/1.png", "cat", ""), ("dog/2.JPG", "dog", "")], [])


def test_files_that_are_no_images_are_counted_by_their_endings_in_one_note(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.png", "dog/2.png", "dog/2.xml", "cat/deep/3.xml", "cat/4.PSD", "cat/5", "readme.txt")
    assert read(tmp_path)[1] == [": left out 4 files that are no known images: 2 .xml, 1 .psd, 1 without an ending"]


def test_an_ending_that_a_package_reads_is_told_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datamodules.files.class_folders.IMAGE_FILES", (".png",))
    touch(tmp_path, "cat/1.png", "dog/2.png", "dog/3.HEIC")
    assert read(tmp_path)[1] == [
        ': left out 1 files that are no known images: 1 .heic; pip install -e ".[heif]" reads HEIF'
    ]


def test_folders_without_images_and_images_beside_folders_are_told(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.png", "dog/2.png", "notes/a.txt", "3.png", "4.png")
    (tmp_path / "empty").mkdir()
    found, notes = read(tmp_path)
    assert [label for _, label, _ in found] == ["cat", "dog"]
    assert notes[0] == ": left out 2 images beside the class folders"
    assert notes[1] == ": left out 2 folders without images: empty, notes"


@pytest.mark.parametrize("wrapper", ["photos", "archive/photos"])
@pytest.mark.parametrize("splits", [("",), ("train/", "test/")])
def test_a_folder_around_everything_is_looked_into(wrapper: str, splits: tuple[str, ...], tmp_path: Path) -> None:
    for split in splits:
        touch(tmp_path / wrapper, f"{split}cat/1.png", f"{split}dog/2.png")
    found, notes = read(tmp_path)
    assert {(label, split) for _, label, split in found} == {
        (label, split.removesuffix("/")) for label in ("cat", "dog") for split in splits
    }
    assert notes == [f": read from the only folder in it, {wrapper}"]


def test_a_folder_of_a_split_may_have_another_around_its_classes(tmp_path: Path) -> None:
    for split in ("train", "test"):
        touch(tmp_path, f"seg_{split}/seg_{split}/cat/1.png", f"seg_{split}/seg_{split}/dog/2.png")
    assert {(label, split) for _, label, split in read(tmp_path)[0]} == {
        (label, split) for label in ("cat", "dog") for split in ("train", "test")
    }


def test_one_class_with_folders_in_it_is_a_class_where_another_split_knows_it(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/1.png", "train/dog/2.png", "val/cat/a/3.png", "val/cat/b/4.png")
    assert [label for _, label, split in read(tmp_path)[0] if split == "val"] == ["cat", "cat"]


@pytest.mark.parametrize("inner", ["", "test/", "unknown/"])
def test_a_test_split_without_classes_is_left_out_and_told(inner: str, tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/1.png", "train/dog/2.png", f"test/{inner}3.png", f"test/{inner}4.png")
    found, notes = read(tmp_path)
    assert {split for _, _, split in found} == {"train"}
    path = tmp_path / "test"
    assert notes == [f"/test: 2 images without a class are left out; scripts/predict.py --input {path} reads them"]


def test_a_training_split_without_classes_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat.0.png", "train/dog.0.png", "test/1.png")
    with pytest.raises(DataError, match="train: 2 images directly in it; expected a folder for each class"):
        read(tmp_path)


def test_splits_without_one_to_train_on_are_no_classes(tmp_path: Path) -> None:
    touch(tmp_path, "val/cat/1.png", "val/dog/2.png", "test/cat/3.png", "test/dog/4.png")
    with pytest.raises(DataError, match=r"test and val are named like splits .*, but there is none for train"):
        read(tmp_path)


def test_a_list_beside_bare_images_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "labels.csv", "pictures/1.png", "pictures/2.png")
    found = f"found 2 images directly in pictures; if labels.csv says the classes, give --data {tmp_path}/labels.csv"
    assert image_folders(print).without_classes(tmp_path) == found
