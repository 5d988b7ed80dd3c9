"""Tables in JSON: an object a row, in lines, in a list or under a key, or the columns of all, as pandas writes them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json as pajson

from datamodules.errors import DataError
from datamodules.files.encoding import decoded, json_value
from datamodules.files.splits import Note, listed
from datamodules.files.text_files import byte_stream, encoding_of, json_lines

ROW = 'an object a row, such as {"width": 1.5, "kind": "a"}'


def json_table(path: Path, encoding: str, note: Note) -> pa.Table:
    """The table of a JSON file; what a row lacks is missing, and the values of nested objects are columns `a.b`.

    Args:
        path: the file.
        encoding: of the file.
        note: reports what is left out.

    Raises:
        DataError: it is not JSON, not text in that encoding, or no rows of values.
    """
    table = _read_lines(path)
    if table is None:
        with byte_stream(path) as stream:
            text = decoded(stream.read(), encoding_of(path, encoding), path)
        table = _of_rows(_rows(text, path, note), path)
    if not table.num_columns:
        raise DataError(f"{path}: has no rows; expected {ROW}")
    while any(map(pa.types.is_struct, table.schema.types)):
        table = table.flatten()
    return table


def _read_lines(path: Path) -> pa.Table | None:
    """Rows in lines as Arrow reads them, fast; None where it does not, or finds a single object that holds others."""
    with byte_stream(path) as stream:
        if not stream.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
            return None
    try:
        with byte_stream(path) as stream:
            table = pajson.read_json(stream)
        table.validate(full=True)  # that its texts are UTF-8
        nested = any(pa.types.is_nested(table[name].type) for name in table.column_names)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        if "specified twice" in str(error):
            raise DataError(f"{path}: a row has two values of one name ({error})") from None
        return None
    return None if len(table) == 1 and nested else table


def _rows(text: str, path: Path, note: Note) -> Sequence[Any]:
    if not text.strip():
        raise DataError(f"{path}: the file is empty")
    try:
        document = json_value(text)
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise DataError(f"{path}:{error.lineno}: not JSON ({error.msg}, column {error.colno})") from None
        return [row for _, _, row in json_lines(text.split("\n"), path)]
    return document if isinstance(document, list) else _rows_within(document, path, note)


def _rows_within(document: Any, path: Path, note: Note) -> Sequence[Any]:
    """The rows of a single value: those under a key, those of which it has the columns, or itself.

    Raises:
        DataError: its objects may be rows or columns.
    """
    if not isinstance(document, dict):
        return [document]
    if {"columns", "data"} <= document.keys() and _are_lists([document["columns"], document["data"]]):
        return [_named(document["columns"], row, path) for row in document["data"]]
    values = list(document.values())
    if _are_lists(values) and len({*map(len, values)}) == 1 < len(values):
        return [dict(zip(document, row, strict=True)) for row in zip(*values, strict=True)]
    within = [key for key, value in document.items() if isinstance(value, list) and _are_objects(value)]
    if len(within) == 1:
        others = [key for key in document if key not in within]
        note(f"{path}: the rows are those of {within[0]}" + (f"; left out {listed(others)}" if others else ""))
        return list(document[within[0]])
    if not _are_objects(values):
        return [document]
    names = dict.fromkeys(name for value in values for name in value)
    numbered, numbered_within = all(map(str.isdecimal, document)), all(map(str.isdecimal, names))
    if numbered == numbered_within:
        found = f"{listed(list(document), 3)}, each with {listed(list(names), 3)}"
        raise DataError(f"{path}: has {found}, which may be rows or columns; expected a list with {ROW}")
    if numbered:
        return values
    return [{key: column.get(index) for key, column in document.items()} for index in names]


def _named(names: Sequence[str], row: Any, path: Path) -> dict[str, Any]:
    if not isinstance(row, list) or len(row) != len(names):
        found = json.dumps(row, ensure_ascii=False)[:40]
        raise DataError(f"{path}: expected a list of {len(names)} values, of {listed(names)}, found {found}")
    return dict(zip(names, row, strict=True))


def _are_lists(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(value, list) for value in values)


def _are_objects(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(value, dict) for value in values)


def _of_rows(rows: Sequence[Any], path: Path) -> pa.Table:
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            found = json.dumps(row, ensure_ascii=False)[:40]
            raise DataError(f"{path}: row {number} is {found}; expected {ROW}")
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: _column([row.get(name) for row in rows], f"{path}: column {name}") for name in names})


def _column(values: Sequence[Any], where: str) -> pa.Array:
    """Values as a column; as texts where some are numbers and some texts."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        if any(isinstance(value, dict | list) for value in values):
            raise DataError(f"{where} holds objects or lists beside other values, expected numbers or text") from None
        texts = (value if isinstance(value, str | None) else json.dumps(value) for value in values)
        return pa.array(texts, pa.string())
