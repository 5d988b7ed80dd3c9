"""What was read is kept: found again without reading, noticed where files changed, and made again where damaged."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from datamodules import base, tabular
from datamodules.errors import DataError
from datamodules.files import delimited, edge_list, pixels, tables
from datamodules.files import images as image_files
from datamodules.files.labelled_texts import kept_texts
from datamodules.files.table_columns import Column, cell_hashes
from datamodules.files.tables import Reading, read_table
from datamodules.images import Images
from datamodules.nodes import Nodes
from datamodules.storage import cache_files, kept
from datamodules.storage.kept import Kept, read_kept, states_of
from datamodules.tabular import TabularClassification
from datamodules.text import TextClassification
from tests.helpers.fork_server import Forked

Data = TypeVar("Data", bound=base.DataModule)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(cache_files, "DATA_FOLDER", tmp_path / "data")
    monkeypatch.setattr(kept, "MIN_BYTES", 0)
    yield tmp_path / "data"
    cache_files.release()


def ready(data: Data) -> Data:
    """Data that has been read."""
    data.setup("fit")
    return data


class Made:
    """Makes the same each time, and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> Kept:
        self.times += 1
        arrays = {"bytes": np.arange(7, dtype=np.uint8), "rows": np.arange(6.0).reshape(2, 3), "none": np.zeros((0, 4))}
        return Kept(arrays, {"text": "größer", "pair": (1, 2)})


def only_file() -> Path:
    [path] = cache_files.cache_folder().glob(f"*{kept.SUFFIX}")
    return path


def assert_equal(found: Kept) -> None:
    for name, array in Made()().arrays.items():
        assert found.arrays[name].dtype == array.dtype
        assert np.array_equal(found.arrays[name], array)
    assert found.facts == {"text": "größer", "pair": [1, 2]}, "the first time as later"


def test_is_made_once() -> None:
    make = Made()
    for _ in range(3):
        assert_equal(kept.kept(make, ["key", 1], 1))
    assert make.times == 1
    assert_equal(kept.kept(make, ["key", 2], 1))
    assert make.times == 2


def test_what_is_changed_in_memory_is_not_kept() -> None:
    for _ in range(3):
        found = kept.kept(Made(), ["key"], 1)
        assert_equal(found)
        torch.from_numpy(found.arrays["rows"]).zero_()  # torch warns of arrays that cannot be written


def test_of_few_bytes_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MIN_BYTES", 10)
    assert_equal(kept.kept(Made(), ["key"], 9))
    assert not cache_files.cache_folder().exists()


@pytest.mark.parametrize("damage", [lambda old: old[:-1], lambda old: b"", lambda old: old[:9] + b"\xff" + old[10:]])
def test_a_damaged_file_is_written_again(damage: Callable[[bytes], bytes]) -> None:
    kept.kept(Made(), ["key"], 1)
    path = only_file()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert read_kept(path) is None
    make = Made()
    assert_equal(kept.kept(make, ["key"], 1))
    assert make.times == 1
    assert path.read_bytes() == whole


def test_a_folder_that_cannot_be_written_is_told(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def full(path: Path, write: object) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(kept, "write_file", full)
    make = Made()
    for times in (1, 2):
        assert_equal(kept.kept(make, ["key"], 1))
        assert make.times == times
    assert "not kept for later runs (No space left on device)" in capsys.readouterr().err


def test_another_users_folder_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    monkeypatch.setattr(cache_files, "cache_folder", lambda: tmp_path / "shared")
    monkeypatch.setattr(cache_files, "temporary_folder", lambda: own)
    monkeypatch.setattr(cache_files, "make_folder", lambda folder: folder.mkdir() if folder == own else denied(folder))
    make = Made()
    assert_equal(kept.kept(make, ["key"], 1))
    assert make.times == 1
    assert [*own.glob(f"*{kept.SUFFIX}")]


def denied(folder: Any, *_: Any) -> None:
    raise PermissionError(13, "Permission denied", str(folder))


def keep_slowly(folder: Path) -> None:
    def make() -> Kept:
        print("made")
        time.sleep(1)
        return Kept({"values": np.arange(1000)})

    pytest.MonkeyPatch().setattr(cache_files, "DATA_FOLDER", folder)
    assert kept.kept(make, ["key"], 10**9).arrays["values"].sum() == 499500


def test_of_two_processes_one_makes_it(folder: Path) -> None:
    printed = [folder.with_name(f"printed {number}.txt") for number in range(2)]
    both = [Forked(keep_slowly, folder, out=file) for file in printed]
    assert [process.wait(120) for process in both] == [0, 0]
    assert sorted(file.read_text() for file in printed) == ["", "made\n"]


def test_an_edit_is_noticed_though_size_and_time_of_modification_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"before")
    before = file.stat()
    known = states_of([file], tmp_path)
    assert states_of([file], tmp_path) == known
    file.write_bytes(b"beyond")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert states_of([file], tmp_path).digest != known.digest


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for label in "ab":
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for row in range(20):
            values = random.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(values).save(tmp_path / "pictures" / label / f"{row}.png")
    return tmp_path / "pictures"


def pixels_of(data: Images) -> torch.Tensor:
    assert data.images is not None
    return data.images


def set_up(path: Path) -> Images:
    data = Images(str(path), batch_size=4)
    data.setup("fit")
    return data


def test_images_are_decoded_once(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = set_up(pictures)
    with monkeypatch.context() as patch:
        patch.setattr(pixels, "regular", denied)  # through which all images are opened
        second = set_up(pictures)
    assert torch.equal(pixels_of(first), pixels_of(second))
    assert first.fingerprint == second.fingerprint
    assert first.notes == second.notes
    assert first.state_dict() == second.state_dict()
    values = np.zeros((8, 8, 3), np.uint8)
    Image.fromarray(values).save(pictures / "a" / "3.png")
    third = set_up(pictures)
    assert third.fingerprint != first.fingerprint
    assert int((pixels_of(third) != pixels_of(first)).flatten(1).any(1).sum()) == 1


def test_several_processes_decode_as_one_does(pictures: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGBA", (8, 8), (9, 9, 9, 100)).save(pictures / "a" / "5.png")
    first = set_up(pictures)
    assert any("1 of 40 images are transparent" in note for note in first.notes)
    monkeypatch.setattr(cache_files, "DATA_FOLDER", folder / "other")
    monkeypatch.setattr(image_files, "FEW", 0)
    monkeypatch.setattr(image_files, "MOST_TOGETHER", 3)
    second = set_up(pictures)
    assert torch.equal(pixels_of(first), pixels_of(second))
    assert first.notes == second.notes
    (pictures / "b" / "7.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"7\.png: not a complete image"):
        set_up(pictures)


def test_a_table_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "table.csv"
    rows = [f"{row % 7},{row / 3:.4f},{'xyz'[row % 3]}\n" for row in range(60)]
    file.write_text("unit,price,label\n" + "".join(rows * 2) + "3,12 %,x\n")

    def read() -> TabularClassification:
        data = TabularClassification(str(file), batch_size=4)
        data.setup("fit")
        return data

    first = read()
    assert first.fingerprint["column price"]
    assert any("price" in note for note in first.notes)
    inputs = first.examples(first.splits.val).inputs
    with monkeypatch.context() as patch:
        for module, name in (
            (tables, "byte_stream"), (tables, "shown_stream"), (tabular, "cell_hashes"), (tabular, "column_digest"),
            (base, "cut"), (Column, "fitted"), (tabular, "encoded"),
        ):  # fmt: skip
            patch.setattr(module, name, denied)
        second = read()
        assert second.fingerprint == first.fingerprint
        assert torch.equal(second.examples(second.splits.val).inputs, inputs)
    assert second.table.equals(first.table)
    assert second.notes == first.notes
    assert second.fingerprint == first.fingerprint
    assert second.state_dict() == first.state_dict()
    assert second.form == first.form
    assert any("are in the training split, too" in note for note in second.notes)
    other = TabularClassification(str(file), ignore=["price"], split_seed=1, batch_size=4)
    other.setup("fit")
    assert [state["name"] for state in other.columns] == ["unit"]
    assert not torch.equal(other.splits.train, first.splits.train)
    file.write_text(file.read_text().replace("3,12 %,x", "3,13 %,x"))
    assert read().fingerprint != first.fingerprint


def test_another_class_of_data_computes_its_own(tmp_path: Path) -> None:
    class AllAlike(TabularClassification):
        def example_hashes(self) -> Any:
            return np.zeros(len(self.table), np.uint64)

    file = tmp_path / "table.csv"
    file.write_text("number,label\n" + "".join(f"{row / 7:.4f},{'xy'[row % 2]}\n" for row in range(60)))
    twice = []
    for kind in (TabularClassification, AllAlike):
        data = kind(str(file), batch_size=4)
        data.setup("fit")
        twice.append([note for note in data.notes if "are in the training split, too" in note])
    assert [*map(len, twice)] == [0, 2]


@pytest.mark.long
def test_the_time_of_a_start_grows_no_faster_than_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random, times = np.random.default_rng(0), []
    for size in (40_000, 320_000):
        file = tmp_path / f"{size}.csv"
        cells = zip(random.normal(size=size), random.integers(0, 40, size), strict=True)
        file.write_text(
            "value,kind,label\n" + "".join(f"{value:.6f},k{kind},{'xyz'[kind % 3]}\n" for value, kind in cells)
        )

        def started(path: str = str(file)) -> float:
            begun = time.process_time()
            data = TabularClassification(path)
            data.setup("fit")
            assert data.fingerprint
            return time.process_time() - begun

        with monkeypatch.context() as patch:
            patch.setattr(kept, "MIN_BYTES", 10**9)
            times.append(min(started() for _ in range(3)))
    assert times[1] < 8 * 2 * times[0], "twice what eight times the rows take if each takes as long"


def test_what_was_kept_equals_what_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "table.csv"
    random = np.random.default_rng(0)
    values, kinds = random.normal(size=300).round(3), random.integers(0, 5, 300)
    rows = [
        f"{value if row % 9 else ''},{'pqrst'[kind]},{row},{'xy'[row % 2]}\n"
        for row, (value, kind) in enumerate(zip(values, kinds, strict=True))
    ]
    file.write_text("value,kind,many,label\n" + "".join(rows))
    found = []
    for smallest in (10**9, 0, 0):
        monkeypatch.setattr(kept, "MIN_BYTES", smallest)
        for fold in (None, 1):
            folds: dict[str, Any] = {} if fold is None else {"fold": fold, "num_folds": 3}
            data = TabularClassification(str(file), batch_size=4, **folds)
            data.setup("fit")
            features, target = data.split_examples("test")[torch.arange(10)]
            some = data.examples(data.splits.test.clone())[torch.arange(10)][0]  # encoded now
            assert torch.equal(some, features)
            found.append((data.fingerprint, data.state_dict(), data.notes, features.tolist(), target.tolist()))
    assert found[0:2] == found[2:4] == found[4:6]
    assert found[0] != found[1]


TEXTS = ["good\tö\U0001f600 film", "bad\t\u4e2d\u6587", "good\tplain  text", "bad\t", "good\tplain  text"]


def test_labelled_texts_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "texts.tsv"
    file.write_text("\n\n".join(TEXTS * 10), encoding="utf-8")

    def read(**options: Any) -> TextClassification:
        return ready(TextClassification(str(file), batch_size=4, **options))

    with monkeypatch.context() as patch:
        patch.setattr(kept, "MIN_BYTES", 10**9)
        plain = read()
    first = read()
    with monkeypatch.context() as patch:
        patch.setattr(delimited, "lines_of", denied)
        second = read()
    rows = torch.arange(50)
    for data in (first, second):
        assert data.texts == plain.texts == [line.split("\t")[1] for line in TEXTS] * 10
        assert torch.equal(data.labels, plain.labels)
        assert data.origins(rows) == plain.origins(rows)
        assert data.origin(7) == "texts.tsv:15"
        assert data.fingerprint == plain.fingerprint
        assert data.notes == plain.notes
        assert data.state_dict() == plain.state_dict()
    assert any("10 of 50 texts are empty" in note for note in second.notes)
    with pytest.raises(DataError, match="the label is missing"):
        read(target=1, text=0)
    file.write_text(file.read_text(encoding="utf-8").replace("plain", "plane"), encoding="utf-8")
    assert read().fingerprint != first.fingerprint


@pytest.mark.parametrize("content", ["a\tgood\n\tbad\n", "one\n"])
def test_texts_that_are_refused_are_not_kept(content: str, tmp_path: Path) -> None:
    file = tmp_path / "texts.tsv"
    file.write_text(content * 3)
    for _ in range(2):
        with pytest.raises(DataError, match=r"the label is missing|found only"):
            kept_texts(file, "utf-8", False, None, 0, lambda note: None)


@pytest.mark.parametrize(
    "cells", [[0.0, -0.0, None, float("nan"), 1.5, 1.5], [1, 2, None, 1, 3, 2], ["a", "b", None, "a"]]
)
def test_hashes_of_cells_are_equal_where_the_cells_are(cells: list[Any]) -> None:
    hashes = cell_hashes(pa.chunked_array([cells[:2], cells[2:]]))
    same = hashes[:, None] == hashes
    plain = ["missing" if cell is None or cell != cell else cell for cell in cells]
    expected = [[one == other for other in plain] for one in plain]
    assert same.tolist() == expected


def test_a_cell_with_a_line_end_is_read_as_one(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text('text,label\n"two\nlines",x\nplain,y\n')
    assert read_table(file, Reading())["text"].to_pylist() == ["two\nlines", "plain"]


def test_edges_are_read_once_and_again_where_the_nodes_are_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"n{node}" for node in range(40)]
    edges = [f"{names[node]},{names[node * 7 % 40]}" for node in range(40)]
    (tmp_path / "edges.csv").write_text("\n".join(["from,to", *edges, edges[1]]) + "\n")

    def read() -> Nodes:
        return ready(Nodes(str(tmp_path)))

    def write_nodes(order: list[int]) -> None:
        rows = [f"{names[node]},{node}.5,{'ab'[node % 2]}" for node in order]
        (tmp_path / "nodes.csv").write_text("\n".join(["id,x,label", *rows]) + "\n")

    write_nodes([*range(40)])
    with monkeypatch.context() as patch:
        patch.setattr(kept, "MIN_BYTES", 10**9)
        plain = read()
    first = read()
    with monkeypatch.context() as patch:
        patch.setattr(edge_list, "read_edges", denied)
        second = read()
    for data in (first, second):
        assert (data.network.adjacency != plain.network.adjacency).nnz == 0
        assert (data.fingerprint, data.notes) == (plain.fingerprint, plain.notes)
    assert any("1 edges repeat an earlier one" in note for note in second.notes)
    write_nodes([*reversed(range(40))])
    assert (read().network.adjacency != plain.network.adjacency[::-1, ::-1]).nnz == 0
    (tmp_path / "nodes.csv").write_text("id,x,label\nn1,1,a\nn2,2,b\n")
    with pytest.raises(DataError, match=r"which nodes\.csv does not have"):
        read()
