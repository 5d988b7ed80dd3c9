"""Lists of edges: two columns of node ids, which are text, whatever else and whatever order of columns a file has."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datamodules.errors import DataError
from datamodules.files import layout, table_columns, tables
from datamodules.files.layout import counts_up
from datamodules.files.splits import Note, listed
from datamodules.files.table_columns import distinct_strings, strings
from datamodules.files.tables import Reading, read_table
from datamodules.storage.fingerprint import hash_texts
from datamodules.storage.kept import Kept, code_of, kept, states_of

Array = np.ndarray[Any, Any]
ENDS = (  # names of the two columns, without `node` and `id`
    ("source", "target"), ("source", "dest"), ("source", "destination"), ("src", "dst"), ("src", "dest"),
    ("src", "tgt"), ("from", "to"), ("u", "v"), ("i", "j"), ("a", "b"), ("1", "2"), ("head", "tail"), ("one", "other"),
    ("start", "end"), ("citing", "cited"), ("follower", "followee"), ("sender", "receiver"), ("源", "目标"),
    ("起点", "终点"),
)  # fmt: skip
ALL_TEXT = frozenset(map(str, range(1000)))  # columns of a file that is read without a header
FIRST_ROWS = 1000  # from which a header and the columns of nodes are told
READER = (tables.READER, code_of(layout, table_columns, sys.modules[__name__]))
_NUMBER = re.compile(r"[+-]?0*(\d+)(\.0*)?")


class Ids:
    """The ids of a graph's nodes.

    Args:
        names: of all nodes, in their order.
        path: the file of the nodes, for messages.

    Raises:
        DataError: two nodes have one id.
    """

    def __init__(self, names: Sequence[str], path: Path) -> None:
        self.names = names
        self.path = path
        self.index = {name: index for index, name in enumerate(names)}
        if len(self.index) < len(names):
            twice = next(name for index, name in enumerate(names) if self.index[name] != index)
            raise DataError(f"{path}: two nodes have the id {twice}")

    def written_as(self, column: pa.ChunkedArray) -> Array:
        """The node whose id is just the text of each cell, (E,); -1 where there is none."""
        names = pa.array(self.names, pa.string())
        quoted = pc.and_(pc.starts_with(names, "'"), pc.ends_with(names, "'"))  # a cell would lose its quotes
        known = pc.if_else(quoted, None, names)
        found = pc.index_in(pc.cast(column, pa.string()), value_set=known, skip_nulls=True)
        return np.asarray(pc.fill_null(found, -1).to_numpy(), np.int64)

    def by_number(self) -> dict[str, int]:
        """The node of each number; empty where several ids are one number, such as `1` and `01`."""
        numbered = {_as_number(name): index for name, index in self.index.items()}
        return numbered if len(numbered) == len(self.index) else {}


def _as_number(name: str) -> str:
    found = _NUMBER.fullmatch(name)
    return found[1] if found else name


def read_edges(path: Path, encoding: str, ids: Ids, note: Note, lenient: bool = False) -> Array:
    """The edges of a file as indices of nodes, (E, 2).

    Args:
        path: the file, delimited or of blanks, with or without a header.
        encoding: of the file.
        ids: of the nodes.
        note: reports what is left out.
        lenient: whether edges to unknown nodes are left out instead of refused.

    Raises:
        DataError: it cannot be read, or an edge joins a node that there is not.
    """
    table = read_table(path, Reading(encoding, False, texts=ALL_TEXT))
    if table.num_columns < 2:
        raise DataError(f"{path}: expected two columns of node ids, found {table.num_columns}")
    if path.name.endswith((".parquet", ".pq")):
        header, first = True, table.column_names
    else:
        first = [str(cell[0].as_py()).strip() for cell in table.columns]
        header = _is_header(first, table, ids, path, note)
        table = table.slice(int(header))
    ends = _ends(first if header else [], table, ids)
    others = [name or "one without a name" for column, name in enumerate(first) if column not in ends]
    if others:
        chosen = " and ".join(first[end] if header else f"column {end + 1}" for end in ends)
        left_out = listed(others) if header else f"{len(others)} more"
        note(f"{path}: the nodes of an edge are read from {chosen}; left out: {left_out}")
    if "type" in map(str.lower, first) and header:
        kinds = [kind for kind in strings(table.column([*map(str.lower, first)].index("type"))) if kind]
        if directed := sum(kind.lower() == "directed" for kind in kinds):
            note(f"{path}: {directed} edges are directed; all edges are read in both directions")
    return _told(path, _indices(path, [table.column(end) for end in ends], ids, note, lenient), note)


def kept_edges(path: Path, encoding: str, names: Sequence[str], nodes: Path, note: Note) -> Array:
    """As `read_edges`, from what an earlier run has kept where the file and the nodes are the same.

    Args:
        path: the file of the edges.
        encoding: of the file.
        names: the ids of all nodes.
        nodes: their file, for messages.
        note: reports what is left out.
    """
    notes: list[str] = []

    def made() -> Kept:
        return Kept({"pairs": read_edges(path, encoding, Ids(names, nodes), notes.append)}, notes)

    states = states_of([path], path.parent)
    key = ["edges", states.digest, path, nodes, hash_texts(names), encoding, pa.__version__, READER]
    found = kept(made, key, states.size)
    for each in found.facts:
        note(each)
    return found.arrays["pairs"]


def _is_header(first: list[str], table: pa.Table, ids: Ids, path: Path, note: Note) -> bool:
    """Whether the first row names the columns: it has usual names, or no cell of it can be a node."""
    below = [_cells(column.slice(1, FIRST_ROWS)) for column in table.columns[:2]]
    if _named_ends(first) or (not first[0] and counts_up(_cells(table.column(0).slice(1, FIRST_ROWS)))):
        return True
    if any(cell in ids.index or _NUMBER.fullmatch(cell) or cell in below[side] for side, cell in enumerate(first[:2])):
        return False
    note(f"{path}: the first line ({', '.join(first)}) is taken for the names of the columns, since these are no nodes")
    return True


def _named_ends(names: Sequence[str]) -> tuple[int, int] | None:
    """The two columns that have usual names."""
    found: dict[str, int] = {}
    for column, name in enumerate(names):
        short = re.sub(r"node|vertex|id|name|paper|user|[^a-z0-9\u4e00-\u9fff]", "", name.lower())
        if not name.isdecimal():
            found.setdefault(short, column)
    return next(((found[one], found[other]) for one, other in ENDS if one in found and other in found), None)


def _ends(names: Sequence[str], table: pa.Table, ids: Ids) -> tuple[int, int]:
    """The two columns of nodes: those with usual names, or else the first two whose first cells are nodes."""
    if found := _named_ends(names):
        return found
    columns = [column for column in range(table.num_columns) if column >= len(names) or names[column]]
    firsts = {column: _cells(table.column(column).slice(0, FIRST_ROWS)) for column in columns[:10]}
    fitting = [column for column, cells in firsts.items() if all(cell in ids.index for cell in cells)]
    if len(fitting) > 2 and counts_up(firsts[fitting[0]]):
        fitting = fitting[1:]  # the numbers of the edges
    one, other = (fitting if len(fitting) >= 2 else columns if len(columns) >= 2 else [0, 1])[:2]
    return one, other


def _cells(column: pa.ChunkedArray) -> list[str]:
    return [cell or "" for cell in strings(column)]


def _indices(path: Path, columns: list[pa.ChunkedArray], ids: Ids, note: Note, lenient: bool) -> Array:
    pairs = np.empty((len(columns[0]), 2), np.int64)
    matched: dict[str, str] = {}
    for side, column in enumerate(columns):
        pairs[:, side] = ids.written_as(column)
        rows = np.flatnonzero(pairs[:, side] < 0)  # with blanks, quotes, or a number in another form; often none
        texts, codes = distinct_strings(column.take(pa.array(rows)))
        index = [ids.index.get(text, -1) for text in texts]
        unknown = [code for code, node in enumerate(index) if node < 0]
        if unknown and (numbered := ids.by_number()):
            for code in unknown:
                index[code] = numbered.get(_as_number(texts[code]), -1)
            matched |= {texts[code]: ids.names[index[code]] for code in unknown if index[code] >= 0}
        pairs[rows, side] = np.array([*index, -1], np.int64)[codes]
    if matched:
        one, other = next(iter(matched.items()))
        note(f"{path}: {len(matched)} ids are written otherwise than in {ids.path.name}, such as {one} for {other}")
    wrong = (pairs < 0).any(1)
    if wrong.any() and not lenient:
        row = int(wrong.argmax())
        name = columns[int(pairs[row, 0] >= 0)][row].as_py()
        many = f" ({wrong.sum()} of {len(pairs)} edges join such nodes)" if wrong.sum() > 1 else ""
        name = name.strip() if name else "without an id"
        raise DataError(f"{path}: edge {row + 1} joins node {name}, which {ids.path.name} does not have{many}")
    if wrong.any():
        note(f"{path}: {wrong.sum()} of {len(pairs)} edges are left out: {ids.path.name} lacks one of their nodes")
    return pairs[~wrong]


def _told(path: Path, pairs: Array, note: Note) -> Array:
    """The edges, after what the graph does not have of them has been told."""
    loops = int((pairs[:, 0] == pairs[:, 1]).sum())
    ordered = np.sort(pairs @ [pairs.max(initial=0) + 1, 1])
    twice = int((np.diff(ordered) == 0).sum())
    told = [f"{twice} edges repeat an earlier one and count once"] * bool(twice)
    told += [f"{loops} join a node with itself and are left out"] * bool(loops)
    if told:
        note(f"{path}: {', '.join(told)}")
    return pairs
