"""The texts in the rows of a table of any size: JSON lines, a list in JSON, or Parquet."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from datamodules.errors import DataError
from datamodules.files.corpus_files import unpacked_name
from datamodules.files.json_list import list_values
from datamodules.files.parquet_rows import parquet_rows
from datamodules.files.splits import listed
from datamodules.files.text_files import blocks_of, json_lines, lines_of


def row_texts(path: Path, keys: Sequence[str], encoding: str) -> Iterator[str]:
    """The texts of a table's rows.

    Args:
        path: of JSON lines, a list in JSON, or Parquet.
        keys: of a row's text; several are joined by line breaks.
        encoding: of JSON.

    Raises:
        DataError: the file is damaged, a row lacks a key, or what it has is no text.
    """
    if unpacked_name(path).suffix in (".parquet", ".pq"):
        rows: Iterator[tuple[str, Any]] = parquet_rows(path, keys)
    elif (first := _first_sign(path, encoding)) == "[":
        rows = ((f"{path}: row {number}", row) for number, row in enumerate(list_values(path, encoding), 1))
    elif not first:
        return iter(())
    else:
        lines = json_lines(lines_of(path, encoding), path)
        rows = ((f"{path}:{number}", row) for number, _, row in lines)
    return (_row_text(row, keys, where) for where, row in rows)


def _first_sign(path: Path, encoding: str) -> str:
    """The first character of a file that is no space; empty where there is none."""
    return next((block.lstrip()[0] for block in blocks_of(path, encoding, 1 << 12) if block.strip()), "")


def _row_text(row: Any, keys: Sequence[str], where: str) -> str:
    if not isinstance(row, dict):
        found = json.dumps(row, ensure_ascii=False)[:40]
        raise DataError(f'{where}: expected an object with a text, such as {{"{keys[0]}": …}}, found {found}')
    texts = []
    for key in keys:
        if key not in row:
            raise DataError(
                f"{where}: has no {key}; its keys are {listed([*row], 8)}: --data.text says which is the text"
            )
        value = row[key]
        lines = value if isinstance(value, list) else [value or ""]
        if not all(isinstance(line, str) for line in lines):
            raise DataError(f"{where}: {key}: expected a text, or a list of lines, found {type(value).__name__}")
        texts.append("\n".join(lines))
    text = "\n".join(texts)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise DataError(f"{where}: has half of a character ({error.object[error.start]!a})") from None
    return text
