"""Records of any shape: the objects of a JSON file, of JSON lines, or the rows of a Parquet file."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datamodules.errors import DataError
from datamodules.files.encoding import decoded, json_value
from datamodules.files.splits import Note, is_hidden, split_files, split_of
from datamodules.files.text_files import byte_stream, encoding_of, json_lines, lines_of

JSON_LINES, PARQUET = (".jsonl", ".ndjson"), (".parquet", ".pq")
SUFFIXES = (*JSON_LINES, ".json", *PARQUET, ".jsonl.gz", ".ndjson.gz", ".json.gz")
SHARD = re.compile(r"-\d{3,}-of-\d{3,}")  # as Hugging Face numbers the parts of a split
AROUND = ("data", "rows", "examples", "items", "records")  # keys of all rows, in the object that a file is
AT_ONCE = 1000  # rows of a Parquet file that are read together

Record = dict[str, Any] | list[Any]


def record_files(path: Path, note: Note) -> dict[str, list[Path]]:
    """The files of each split; of all splits under an empty name where there are none.

    Args:
        path: a file, or a folder of files whose names state their splits, each of which may be in shards.
        note: reports which files of a folder are ignored.

    Raises:
        DataError: it is not clear which file is which split.
    """
    if not path.is_dir():
        return {"": [path]}
    shards = sorted(file for file in path.iterdir() if SHARD.search(file.name) and not is_hidden(file))
    if not shards:
        return {split: [file] for split, file in split_files(path, SUFFIXES, note).items()}
    found: dict[str, list[Path]] = {}
    for file in shards:
        found.setdefault(split_of(SHARD.sub("", file.name).rpartition(".")[0]) or "train", []).append(file)
    if "train" not in found:
        raise DataError(f"{path}: expected shards of a train split in it, found those of {' and '.join(found)}")
    return found if len(found) > 1 else {"": found["train"]}


def records(path: Path, encoding: str) -> Iterator[tuple[str, Record]]:
    """The records of a file, each with where it is: the file with the line, or the row from 1.

    Args:
        path: JSON lines, JSON with a list of objects at its top or under a key, both packed or not, or Parquet.
        encoding: of its text.

    Raises:
        DataError: it is empty, damaged, not JSON (with the line), or has anything but objects and lists in its rows.
    """
    name = path.name.lower().removesuffix(".gz")
    if not name.endswith((*JSON_LINES, ".json", *PARQUET)):
        raise DataError(f"{path}: expected JSON (.json), JSON lines (.jsonl) or Parquet (.parquet)")
    if name.endswith(PARQUET):
        rows = _parquet(path)
    elif name.endswith(JSON_LINES):
        rows = _lines(path, encoding)
    else:
        rows = _document(path, encoding)
    for where, row in rows:
        if not isinstance(row, dict | list):
            raise DataError(f"{where}: expected an object, found {json.dumps(row, ensure_ascii=False)[:40]}")
        yield where, row


def _parquet(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        with byte_stream(path) as stream:
            row = 0
            for batch in pq.ParquetFile(stream).iter_batches(AT_ONCE):
                for record in batch.to_pylist():
                    row += 1
                    yield f"{path}: row {row}", record
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    if not row:
        raise DataError(f"{path}: the file is empty")


def _lines(path: Path, encoding: str) -> Iterator[tuple[str, Any]]:
    for line, _, value in json_lines(lines_of(path, encoding), path):
        yield f"{path}:{line}", value


def _document(path: Path, encoding: str) -> Iterator[tuple[str, Any]]:
    """The rows of one value, or of a value in each line."""
    with byte_stream(path) as stream:
        text = decoded(stream.read(), encoding_of(path, encoding), path)
    if not text.strip():
        raise DataError(f"{path}: the file is empty")
    try:
        value = json_value(text)
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise DataError(f"{path}:{error.lineno}: not JSON ({error.msg}, column {error.colno})") from None
        yield from _lines(path, encoding)
        return
    if isinstance(value, dict):
        value = next((value[key] for key in AROUND if isinstance(value.get(key), list)), [value])
    if not value:
        raise DataError(f"{path}: has no rows; expected a list of objects")
    for row, record in enumerate(value if isinstance(value, list) else [value], start=1):
        yield f"{path}: row {row}", record
