import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datamodules.files.records import record_files, records
from tests.datamodules.conftest import Refused

ROWS: list[dict[str, Any]] = [{"a": "x"}, {"a": "你好", "b": [1, {"c": None}]}]


def written(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.ndjson", "a.json"])
def test_json_lines(place: Path, name: str) -> None:
    path = written(place / name, "\n".join(json.dumps(row) for row in ROWS) + "\n\n")
    assert [*records(path, "utf-8")] == [(f"{path}:{line}", row) for line, row in enumerate(ROWS, start=1)]


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
@pytest.mark.parametrize("document", [ROWS, {"version": "1", "data": ROWS}])
def test_a_list_of_rows(place: Path, name: str, document: Any) -> None:
    path = written(place / name, json.dumps(document, indent=1))
    assert [*records(path, "utf-8")] == [(f"{path}: row {row + 1}", each) for row, each in enumerate(ROWS)]


def test_one_object_is_one_row(place: Path) -> None:
    path = written(place / "a.json", json.dumps({"messages": [{"role": "user"}]}))
    assert [row for _, row in records(path, "utf-8")] == [{"messages": [{"role": "user"}]}]


def test_parquet(place: Path) -> None:
    path = place / "a.parquet"
    pq.write_table(pa.Table.from_pylist([{"m": [{"role": "user", "content": "x"}]}] * 2500), path)
    found = [*records(path, "utf-8")]
    assert found[2400] == (f"{path}: row 2401", {"m": [{"role": "user", "content": "x"}]})
    assert len(found) == 2500


def test_what_is_none_of_these_is_one_line(place: Path, refused: Refused) -> None:
    with refused("a.jsonl:2: not JSON"):
        [*records(written(place / "a.jsonl", '{"a": 1}\n{"a": '), "utf-8")]
    with refused("a.json:1: not JSON"):
        [*records(written(place / "a.json", '[{"a": 1'), "utf-8")]
    with refused("b.json: the file is empty"):
        [*records(written(place / "b.json", " \n"), "utf-8")]
    with refused("c.json: has no rows"):
        [*records(written(place / "c.json", "[]"), "utf-8")]
    with refused("d.json: row 2: expected an object, found 3"):
        [*records(written(place / "d.json", '[{"a": 1}, 3]'), "utf-8")]
    with refused("a.csv: expected JSON (.json), JSON lines (.jsonl) or Parquet (.parquet)"):
        [*records(written(place / "a.csv", "question,answer"), "utf-8")]
    with refused("e.parquet: cannot be read"):
        [*records(written(place / "e.parquet", "PAR1 it is not"), "utf-8")]


def test_the_shards_of_a_split_are_read_together(place: Path, refused: Refused) -> None:
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"):
        written(place / f"{name}.parquet", "")
    found = record_files(place, lambda text: None)
    assert {split: [file.name[:14] for file in files] for split, files in found.items()} == {
        "train": ["train-00000-of", "train-00001-of"],
        "test": ["test-00000-of-"],
    }
    (place / "only").mkdir()
    written(place / "only" / "test-00000-of-00001.parquet", "")
    with refused("expected shards of a train split"):
        record_files(place / "only", lambda text: None)
    (place / "files").mkdir()
    for name in ("train.jsonl", "dev.jsonl"):
        written(place / "files" / name, "")
    assert [*record_files(place / "files", lambda text: None)] == ["train", "val"]
