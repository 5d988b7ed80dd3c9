"""Which split a file or folder belongs to, by its name."""

from pathlib import Path

import pytest

from datamodules.errors import DataError
from datamodules.files.splits import split_files, split_of

TEXTS = (".txt", ".csv", ".csv.gz", ".bmes")


@pytest.mark.parametrize(
    ("split", "names"),
    [
        (
            "train",
            "train Training TRAIN seg_train cnews.train train.char.bmes eng.train train2017 X-train TrainSet 训练集",
        ),
        ("val", "val valid Validation dev Eval cnews.val eng.testa dev_set evaluation validation2 开发集 验证"),
        ("test", "test Testing adult-test eng.testb test_2016_flickr testset myTest 测试集"),
        ("", "contest latest devices value trainer detest train_test constrain protests 数据"),
    ],
)
def test_a_name_states_its_split_as_one_of_its_parts(split: str, names: str) -> None:
    assert {name: split_of(name) for name in names.split()} == dict.fromkeys(names.split(), split)


def folder(place: Path, names: str) -> Path:
    for name in names.split():
        (place / name).write_text("text\n")
    return place


@pytest.mark.parametrize(
    ("names", "found", "note"),
    [
        ("train.csv test.csv", "train.csv - test.csv", None),
        ("cnews.train.txt cnews.val.txt cnews.test.txt cnews.vocab.txt", "cnews.train.txt cnews.val.txt cnews.test.txt",
         "ignored cnews.vocab.txt"),
        ("eng.train eng.testa eng.testb", "eng.train eng.testa eng.testb", None),
        ("train.char.bmes dev.char.bmes test.char.bmes", "train.char.bmes dev.char.bmes test.char.bmes", None),
        ("adult.data adult.test adult.names", "adult.data - adult.test", "adult.data is the training split"),
        ("iris.csv iris_test.csv readme.txt", "iris.csv - iris_test.csv", "iris.csv is the training split"),
        ("train.csv test.csv sample_submission.csv .DS_Store", "train.csv - test.csv", "ignored sample_submission.csv"),
        ("train.csv train_old.csv", "train.csv - -", "ignored train_old.csv"),
        ("train.csv.gz Dev.CSV", "train.csv.gz Dev.CSV -", None),
    ],
)  # fmt: skip
def test_the_files_of_a_folder_are_found(names: str, found: str, note: str | None, tmp_path: Path) -> None:
    notes: list[str] = []
    files = split_files(folder(tmp_path, names), TEXTS, notes.append)
    expected = dict(zip(("train", "val", "test"), [*found.split(), "-", "-"], strict=False))
    assert {split: file.name for split, file in files.items()} == {s: n for s, n in expected.items() if n != "-"}
    assert list(files) == [split for split in ("train", "val", "test") if split in files]
    assert bool(notes) == (note is not None)
    assert note is None or note in " ".join(notes)


def test_the_only_file_of_a_folder_has_all_splits(tmp_path: Path) -> None:
    notes: list[str] = []
    assert split_files(folder(tmp_path, "titanic.csv licence.md"), TEXTS, notes.append) == {
        "": tmp_path / "titanic.csv"
    }
    assert notes == [f"{tmp_path}: read titanic.csv; ignored licence.md"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("a.csv b.csv", r"expected train, .*\(\.txt, \.csv, .*found a.csv, b.csv"),
        ("", "found nothing"),
        ("test.csv", "found test.csv"),
        ("a_train.csv b_train.csv", "both a_train.csv and b_train.csv seem to be the train split"),
    ],
)
def test_what_is_not_clear_is_refused(names: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        split_files(folder(tmp_path, names), TEXTS, print)
