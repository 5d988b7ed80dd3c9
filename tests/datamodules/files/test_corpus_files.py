"""The files of a corpus, and their splits by the names of folders and files."""

from pathlib import Path
from typing import Any

import pytest

from datamodules.files.corpus_files import corpus_files


def made(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["b.txt", "a.md", "deep/er/c.jsonl.gz"], {"": ["a.md", "b.txt", "deep/er/c.jsonl.gz"]}),
        (["train.txt", "val.txt"], {"train": ["train.txt"], "val": ["val.txt"]}),
        (["eng.train.txt", "eng.testa.txt"], {"train": ["eng.train.txt"], "val": ["eng.testa.txt"]}),
        (
            ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "validation-00000-of-00001.parquet"],
            {
                "train": ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"],
                "val": ["validation-00000-of-00001.parquet"],
            },
        ),
        (
            ["train/a.txt", "train/testing.txt", "test/b.json.zst"],
            {"train": ["train/a.txt", "train/testing.txt"], "test": ["test/b.json.zst"]},
        ),
        (["wiki.txt", "wiki-test.txt"], {"train": ["wiki.txt"], "test": ["wiki-test.txt"]}),
        (["训练集.txt", "测试集.txt"], {"train": ["训练集.txt"], "test": ["测试集.txt"]}),
        # documents that happen to be called so
        (["a.md", "b.md", "c.md", "testing.md"], {"": ["a.md", "b.md", "c.md", "testing.md"]}),
        (["a.md", "b.md", "c.md", "training.md"], {"": ["a.md", "b.md", "c.md", "training.md"]}),
        # of no split, beside those of splits
        (["train.txt", "test.txt", "notes.txt"], {"train": ["train.txt"], "test": ["test.txt"]}),
        # about the others
        (["README.md", "a.txt", "LICENSE.txt"], {"": ["a.txt"]}),
        (["README.md"], {"": ["README.md"]}),
        ([".hidden/a.txt", "a.txt", "b.pdf", "c.tar.gz"], {"": ["a.txt"]}),
    ],
)
def test_names_of_files_and_folders_state_splits(names: list[str], expected: dict[str, list[str]], place: Path) -> None:
    notes: list[str] = []
    found = corpus_files(made(place, *names), notes.append)
    assert {split: [str(file.relative_to(place)) for file in files] for split, files in found.items()} == expected
    left_out = {*names} - {name for part in expected.values() for name in part} - {".hidden/a.txt"}
    told = " ".join(notes)
    assert all(name in told or Path(name).suffix in told for name in left_out)


def test_a_file_is_its_own_folder(place: Path) -> None:
    file = made(place, "test.txt") / "test.txt"
    assert {split: [*files] for split, files in corpus_files(file, print).items()} == {"": [file]}


def test_a_folder_without_texts_is_refused_with_what_is_in_it(place: Path, refused: Any) -> None:
    with refused(place, "expected files (.txt, .md", "found 1 .pdf"):
        corpus_files(made(place, "a.pdf"), print)
    (place / "a.pdf").unlink()
    with refused(place, "found nothing"):
        corpus_files(place, print)
