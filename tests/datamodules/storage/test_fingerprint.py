"""Data is known again wherever it stands, and whatever changes in it is found and named."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from torch import Tensor

from datamodules import images
from datamodules.base import DataModule
from datamodules.files.table_columns import hash_strings
from datamodules.loading.examples import Rows, Source
from datamodules.storage.fingerprint import hash_labels, hash_texts
from tests.helpers.small_data import CASES


def in_file(name: str, before: str, now: str) -> Callable[[Path], None]:
    """Puts something else in the place of the only, or else of the first, such text of a file."""

    def change(folder: Path) -> None:
        file = folder / name
        text = file.read_text(encoding="utf-8")
        assert before in text
        file.write_text(text.replace(before, now, 1), encoding="utf-8")

    return change


def another_pixel(folder: Path) -> None:
    file = folder / "photos" / "猫" / "014.bmp"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def another_class(folder: Path) -> None:
    """Two pictures change places: no class gets larger."""
    one, other = folder / "photos" / "猫" / "014.bmp", folder / "photos" / "nan" / "000.bmp"
    moved = one.read_bytes(), other.read_bytes()
    other.write_bytes(moved[0])
    one.write_bytes(moved[1])


CHANGES = [
    ("rows", in_file("rows.csv", "7.5,", "7.25,"), "column age"),
    ("rows", in_file("rows.csv", "7.5,绿", "7.5,红"), "column colour"),
    ("rows", in_file("rows.csv", "7.5,绿,-inf", "7.5,绿,inf"), "target"),
    ("rows", in_file("rows.csv", "7.5,绿,-inf\n", ""), "149 examples (was 150)"),
    ("numbers", in_file("numbers.csv", "\n50,2500,", "\n50,2501,"), "column height"),
    ("numbers", in_file("numbers.csv", "\n7,49,1.0\n", "\n7,49,1.5\n"), "target"),
    ("series", in_file("series.csv", "\n199,1,3\n", "\n199,1,4\n"), "column power"),
    ("series", in_file("series.csv", "\n100,0,", "\n101,0,"), "column wind"),
    ("photos", another_pixel, "pixels"),
    ("photos", another_class, "pixels"),
    ("drawings", another_pixel, "pixels"),
    ("texts", in_file("texts.tsv", "redish 0\tnan", "redish 0\tinf"), "labels"),
    ("texts", in_file("texts.tsv", "greenish 1\t", "greenish 1.\t"), "texts"),
    ("sentences", in_file("sentences.bio", "Anna8 B-nan", "Anna8 B-人"), "entities"),
    ("sentences", in_file("sentences.bio", "Anna8 B-nan\nlives", "Anna8 B-nan\nlived"), "sentences"),
    ("questions", in_file("questions.json", "What is answer 7?", "Who is answer 7?"), "questions"),
    ("questions", in_file("questions.json", "The answer is 7.", "The answer is 7!"), "contexts"),
    ("questions", in_file("questions.json", '{"text": "17"', '{"text": "1"'), "answers"),
    ("pairs", in_file("pairs.tsv", "句子7在", "句子八在"), "translations"),
    ("pairs", in_file("pairs.tsv", "sentence 49 ", "sentence 94 "), "sources"),
    ("stories", in_file("stories/7.txt", "inf and 7", "inf and 8"), "texts"),
    ("stories", in_file("stories/rows.jsonl", "story 7:", "story 8:"), "texts"),
    ("graphs", in_file("rings/rings_graph_labels.txt", "-1\n1\n10\n", "1\n-1\n10\n"), "labels"),
    ("graphs", in_file("rings/rings_A.txt", "1, 2\n", "1, 3\n"), "edges"),
    ("graphs", in_file("rings/rings_node_labels.txt", "0\n1\n2\n", "1\n0\n2\n"), "node labels"),
    ("graphs", in_file("rings/rings_node_attributes.txt", "1, 0.125", "1, 0.25"), "node attributes"),
    ("graphs", in_file("rings/rings_edge_labels.txt", "0\n1\n", "1\n0\n"), "edge labels"),
    ("graphs", in_file("rings/rings_edge_attributes.txt", "0\n1\n", "1\n0\n"), "edge attributes"),
    ("network", in_file("network/edges.csv", "n5,n35", "n5,n36"), "edges"),
    ("network", in_file("network/nodes.csv", "n7,2,", "n7,3,"), "column age"),
    ("network", in_file("network/nodes.csv", "n7,2,绿,-inf", "n7,2,绿,inf"), "labels"),
]


@pytest.mark.parametrize(("name", "change", "expected"), CHANGES)
def test_whatever_changes_is_named(name: str, change: Callable[[Path], None], expected: str, tmp_path: Path) -> None:
    case = CASES[name]
    path = case.make(tmp_path)
    before = case.ready(path)
    change(tmp_path)
    after = case.ready(path)
    found = after.changed_since(before.fingerprint, before.state_dict())
    assert found is not None
    assert expected in found.split(", ")


@pytest.mark.parametrize("name", CASES)
def test_data_is_known_again_in_another_place_at_another_time(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    (tmp_path / "here").mkdir()
    path = case.make(tmp_path / "here")
    before = case.ready(path)
    moved = Path(shutil.copytree(tmp_path / "here", tmp_path / "elsewhere"))
    for file in moved.rglob("*"):
        os.utime(file, (1, 1))
    after = case.ready(moved / path.name)
    assert after.fingerprint == before.fingerprint
    assert after.changed_since(before.fingerprint, before.state_dict()) is None
    earlier = before.earlier_fingerprint()
    assert after.changed_since(earlier, before.state_dict()) is None
    if name != "series":  # of which earlier versions knew the length alone
        other = ("1" if earlier[0] == "0" else "0") + earlier[1:]
        assert "which split" in str(after.changed_since(other, before.state_dict()))


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No images fit into memory."""
    monkeypatch.setattr(images, "IN_MEMORY", 0)


def test_images_on_disk_are_known_by_names_sizes_and_times(on_disk: None, tmp_path: Path) -> None:
    case = CASES["photos"]
    (tmp_path / "here").mkdir()
    path = case.make(tmp_path / "here")
    before = case.ready(path).fingerprint

    def found(folder: Path) -> str | None:
        return case.ready(folder).changed_since(before, {})

    copied = Path(shutil.copytree(tmp_path / "here", tmp_path / "copied")) / "photos"  # with the times, as rsync -a
    assert found(copied) is None
    os.utime(copied / "1" / "003.bmp", (1, 1))
    assert "modification times" in str(found(copied))
    with (path / "1" / "003.bmp").open("ab") as file:
        file.write(b"\0")
    assert str(found(path)).split(", ")[0] == "files"


def test_images_on_disk_are_known_by_their_contents_where_that_is_wanted(on_disk: None, tmp_path: Path) -> None:
    case = CASES["photos"]
    path = case.make(tmp_path)
    before = case.ready(path, hash_contents=True).fingerprint
    file = path / "猫" / "014.bmp"
    os.utime(file, (1, 1))
    assert case.ready(path, hash_contents=True).changed_since(before, {}) is None
    assert "modification times" in str(case.ready(path).changed_since(before, {}))
    another_pixel(tmp_path)
    assert case.ready(path, hash_contents=True).changed_since(before, {}) == "contents of files"


def test_images_on_disk_are_not_read_to_know_them_again(
    on_disk: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES["photos"]
    data = case.ready(case.make(tmp_path))
    for module in ("builtins.open", "pathlib.Path.open"):
        monkeypatch.setattr(module, lambda *args, **options: pytest.fail("a file was read"))
    assert data.fingerprint["files"]


def test_a_column_is_the_same_whatever_its_chunks_offsets_and_dictionary_are() -> None:
    values = ["ab", None, "", "c", None, "猫"]
    whole = pa.chunked_array([values])
    expected = hash_strings(whole)
    assert hash_strings(pa.chunked_array([values[:2], [], values[2:]], pa.string())) == expected
    assert hash_strings(pa.chunked_array([["x", *values, "y"]])[1:-1]) == expected
    assert hash_strings(whole.dictionary_encode()) == expected
    assert hash_strings(pa.chunked_array([values], pa.large_string())) == expected
    for other in (["a", None, "b", "c", None, "猫"], ["ab", "", "", "c", None, "猫"], [*values, ""]):
        assert hash_strings(pa.chunked_array([other])) != expected


def test_labels_are_the_same_whatever_the_order_of_the_classes() -> None:
    codes = torch.tensor([0, 1, 2, 1])
    assert hash_labels(["b", "a", "c"], codes) == hash_labels(["a", "b", "unused", "c"], torch.tensor([1, 0, 3, 0]))
    assert hash_labels(["b", "a", "c"], codes) != hash_labels(["a", "b", "c"], codes)


def test_texts_are_told_apart_by_where_they_end() -> None:
    assert hash_texts(["ab", "c"]) != hash_texts(["a", "bc"])
    assert hash_texts(["\ud800"]) != hash_texts(["\ud801"])  # half a character, as files may hold
    assert hash_texts(f"{n}" for n in range(2500)) == hash_texts([f"{n}" for n in range(2500)])


class Mine(DataModule):
    """A kind of data that somebody else has written, and that says nothing of its parts."""

    values = torch.arange(20.0)

    def read(self) -> Source:
        return Source(20)

    def fit(self, train: Tensor) -> None:
        pass

    def examples(self, index: Tensor) -> Rows:
        return Rows(self.values[:, None], self.values, index)

    def read_input(self, path: Path) -> tuple[Rows, list[str]]:
        raise NotImplementedError


def test_of_another_kind_of_data_the_examples_are_compared() -> None:
    one, other = Mine("mine", batch_size=2), Mine("mine", batch_size=2)
    other.values = one.values.clone()
    for data in (one, other):
        data.setup()
    assert one.changed_since(other.fingerprint, {}) is None
    changed = Mine("mine", batch_size=2)
    changed.values = one.values + 1
    changed.setup()
    assert "train examples" in str(changed.changed_since(one.fingerprint, {}))
