"""Documents, each a file: a folder for each class, and perhaps one around them for each split."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.storage.streaming import Streamed
from datamodules.text import TextClassification


def written(folder: Path, name: str, text: str, encoding: str = "utf-8") -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding=encoding)


def reviews(folder: Path, splits: tuple[str, ...] = ("train/", "test/"), ending: str = ".txt") -> str:
    """As aclImdb has them: with documents of no class, and with files beside the folders."""
    for split in splits:
        for index in range(100):
            word, label = [("好 film", "pos"), ("bad film", "neg")][index % 2]
            written(folder, f"{split}{label}/{index}_7{ending}", f"{word}, {split}\nnumber {index}.\n")
    if splits[0]:
        written(folder, "train/unsup/0_0.txt", "no class")
        written(folder, "imdbEr.txt", "1.5\n")
        written(folder, "README", "about")
    return str(folder)


def ready(path: str, **options: Any) -> TextClassification:
    data = TextClassification(path, batch_size=8, **options)
    data.setup()
    return data


def test_each_file_is_a_text_of_its_folders_class(tmp_path: Path) -> None:
    data = ready(reviews(tmp_path / "aclImdb"))
    assert data.class_names == ["neg", "pos"]
    assert [len(rows) for rows in data.splits] == [90, 10, 100]
    assert list(data.texts)[int(data.splits.test[0])] == "bad film, test/\nnumber 11."
    assert any("left out 1 documents in unsup, which by its name is no class" in note for note in data.notes)
    assert data.origin(0) == "neg/11_7.txt"
    assert data.summary().facts[0] == ("format", "a document a file")


@pytest.mark.parametrize("ending", [".txt", ""])
def test_splits_are_drawn_where_folders_state_none(ending: str, tmp_path: Path) -> None:
    data = ready(reviews(tmp_path / "news", ("",), ending))
    assert [len(rows) for rows in data.splits] == [70, 10, 20]
    assert len(data.texts) == 100


def test_folders_of_classes_are_no_documents_beside_them(tmp_path: Path) -> None:
    reviews(tmp_path / "archive" / "reviews", ("",))  # as an archive leaves them
    data = ready(str(tmp_path / "archive"))
    assert data.class_names == ["neg", "pos"]
    assert not any("beside the class folders" in note for note in data.notes)
    written(tmp_path / "archive" / "reviews", "README", "about")
    assert any("left out 1 documents beside" in note for note in ready(str(tmp_path / "archive" / "reviews")).notes)


def test_documents_are_predicted_by_folder_and_one_by_one(tmp_path: Path) -> None:
    data = ready(reviews(tmp_path / "aclImdb"))
    folder = tmp_path / "new"
    written(folder, "b.txt", "bad film,\n\nvery bad")
    written(folder, "a.txt", "好 film")
    examples, names = data.read_input(folder)
    assert [Path(name).name for name in names] == ["a.txt", "b.txt"]
    one, _ = data.read_input(folder / "b.txt")
    assert len(one) == 1
    both = examples[torch.arange(2)]
    assert torch.equal(one[torch.arange(1)].ids[0], both.ids[1][: both.lengths[1]])


def test_documents_beyond_memory_are_the_same(tmp_path: Path, streamed: Callable[[], None]) -> None:
    path = reviews(tmp_path / "aclImdb")
    held = ready(path)
    streamed()
    read = ready(path)
    assert list(read.texts) == list(held.texts)
    assert read.state_dict()["tokenizer_json"] == held.state_dict()["tokenizer_json"]
    assert torch.equal(
        read.examples(read.splits.val)[torch.arange(5)][0].ids, held.examples(held.splits.val)[torch.arange(5)][0].ids
    )
    assert isinstance(read.texts, Streamed)
    before = read.texts.key
    written(tmp_path / "aclImdb", "train/neg/11_7.txt", "another text")
    assert read.texts.key != before


def test_a_document_in_another_encoding_is_named(tmp_path: Path, refused: Any) -> None:
    path = reviews(tmp_path / "aclImdb")
    written(tmp_path / "aclImdb", "train/pos/0_7.txt", "这部电影非常好看，我很喜欢这个故事。" * 9, "gb18030")
    with refused(tmp_path / "aclImdb" / "train" / "pos" / "0_7.txt", "gb18030"):
        ready(path)
    written(tmp_path / "aclImdb", "train/pos/0_7.txt", "好", "utf-16")
    assert "好" in ready(path).texts


def test_an_empty_document_is_a_text(tmp_path: Path) -> None:
    path = reviews(tmp_path / "aclImdb")
    written(tmp_path / "aclImdb", "train/pos/0_7.txt", "")
    data = ready(path)
    assert len(data.texts) == 200
    assert any("1 of 200 texts are empty" in note for note in data.notes)
