"""Folders with one graph: a table of nodes and a list of edges, in the forms in which they are published."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from datamodules.errors import DataError
from datamodules.files.edge_list import Array, Ids, kept_edges, read_edges
from datamodules.files.splits import SPLITS, Note, is_hidden, listed, split_of
from datamodules.files.table_columns import is_numeric, numbers, strings
from datamodules.files.tables import Reading, read_table, without_marks

ID_NAMES = ("id", "ID", "Id", "node_id", "nodeId", "NodeId", "node", "Node", "nodeid", "vertex", "编号", "节点")
LABEL_NAMES = ("label", "class", "target", "category", "y", "ml_target", "标签", "类别")
SPLIT_NAMES = ("split", "Split", "set", "subset", "partition")
NODES = re.compile(r"(?<![a-z])(nodes?|vert(ex|ices)|节点)(?![a-z])", re.IGNORECASE)
LABELS = re.compile(r"(?<![a-z])(labels?|targets?|class(es)?)(?![a-z])", re.IGNORECASE)
EDGES = re.compile(r"(?<![a-z])(edges?|edgelist|links?|cites|边)(?![a-z])", re.IGNORECASE)
SUFFIXES = (
    ".csv", ".tsv", ".txt", ".xlsx", ".parquet", ".edges", ".edgelist", ".content", ".cites", ".nodes", ".node_labels",
)  # fmt: skip
Read = Callable[[list[Path], str, str | None, Note, frozenset[str]], "NodeFiles"]
_LIST = re.compile(r"\s*[\[(]?\s*-?\d[\d.eE+-]*(\s*[,;\s]\s*-?\d[\d.eE+-]*){2,}\s*[\])]?\s*")


class NodeFiles(NamedTuple):
    """One graph as its files have it.

    Args:
        path: the file of the nodes, for messages.
        ids: of all nodes.
        pairs: (E, 2) indices of the nodes that each edge joins.
        table: a row for each node.
        reserved: columns of the table that are neither features nor classes.
        words: scipy (N, F) features that are no columns; None where there are none.
        splits: each split's nodes, where files list them.
    """

    path: Path
    ids: list[str]
    pairs: Array
    table: pa.Table
    reserved: list[str]
    words: Any = None
    splits: dict[str, Array] | None = None


def read_nodes(
    path: Path, encoding: str, target: str | None, note: Note, texts: frozenset[str] = frozenset()
) -> NodeFiles:
    """Read the graph in a folder, or in a folder inside it.

    Args:
        path: the folder.
        encoding: of its files.
        target: name of the column with the classes, which may be missing; None where classes are not read.
        note: reports what is left out or guessed.
        texts: columns of features that are texts whatever is in them, since they were in training.

    Raises:
        DataError: there are no such files, or they do not agree.
    """
    if not path.is_dir():
        raise DataError(f"{path}: expected a folder with nodes.csv and edges.csv")
    inside = [[path], *(sorted(folder for folder in path.glob(depth) if folder.is_dir()) for depth in ("*", "*/*"))]
    for folders in inside:
        for folder in folders:
            if is_hidden(folder) and folder != path:
                continue
            files = sorted(file for file in folder.iterdir() if file.is_file() and not is_hidden(file))
            if read := _form(files):
                found = read(files, encoding, target, note, texts)
                if found.words is not None and not np.isfinite(found.words.data).all():
                    raise DataError(f"{found.path}: expected finite numbers as features")
                return found
    missing = "edges.csv" if any(NODES.search(file.name) for file in path.iterdir()) else "nodes.csv"
    raise DataError(f"{path}: expected nodes.csv and edges.csv in the folder, found no {missing}")


def _form(files: list[Path]) -> Read | None:
    """How the files of a folder are to be read."""
    stems = {file.name.split(".")[0] for file in files}
    if "edge" in stems and stems & {"node-feat", "node-label"}:
        return _read_ogb
    suffixes = {file.suffix for file in files}
    if {".content", ".cites"} <= suffixes:
        return _read_content
    return _read_table_and_list if _edges_among(files) and _nodes_among(files) else None


def _candidates(files: Iterable[Path], pattern: re.Pattern[str]) -> list[Path]:
    """The files whose name says what they hold; one that is called just so goes before others."""
    read = [file for file in files if file.name.removesuffix(".gz").lower().endswith(SUFFIXES)]
    found = [file for file in read if pattern.search(file.name)]
    return [file for file in found if pattern.fullmatch(file.name.split(".")[0])] or found


def _nodes_among(files: list[Path]) -> list[Path]:
    others = [file for file in files if not EDGES.search(file.name)]
    return _candidates(others, NODES) or _candidates(others, LABELS)


def _edges_among(files: list[Path]) -> list[Path]:
    """The files of edges; beside `email-department-labels.txt` also `email.txt`."""
    labels = [file for file in _candidates(files, LABELS) if not NODES.search(file.name)]
    rest = [file for file in files for other in labels if other.name.startswith(re.split(r"[.]", file.name)[0] + "-")]
    return _candidates(files, EDGES) or rest


def _only(found: list[Path], what: str) -> Path:
    if len(found) > 1:
        raise DataError(f"{found[0].parent}: {listed([file.name for file in found])}: which has the {what}? Keep one")
    return found[0]


def _tell_ignored(files: list[Path], read: Iterable[Path], note: Note) -> None:
    used = list(read)
    if ignored := [file.name for file in files if file not in used]:
        note(f"{files[0].parent}: read {', '.join(file.name for file in used)}; ignored {listed(ignored)}")


def _read_table_and_list(
    files: list[Path], encoding: str, target: str | None, note: Note, texts: frozenset[str]
) -> NodeFiles:
    """nodes.csv and edges.csv, whatever they are called."""
    path, edges = _only(_nodes_among(files), "nodes"), _only(_edges_among(files), "edges")
    _tell_ignored(files, (path, edges), note)
    table, key = _table_with_ids(path, encoding, target, note, texts)
    names = [name or "" for name in strings(table[key])]
    if "" in names:
        raise DataError(f"{path}: row {names.index('') + 1} has no {key}")
    table = without_marks(table)
    table, words = _with_lists(table, key, path, note)
    pairs = kept_edges(edges, encoding, names, path, note)
    reserved = [key, *_split_columns(table)]
    return NodeFiles(path, names, pairs, table, reserved, words)


def _table_with_ids(
    path: Path, encoding: str, target: str | None, note: Note, texts: frozenset[str]
) -> tuple[pa.Table, str]:
    """A table, and the name of its column of ids, which is read as text."""
    named = ID_NAMES if target is None else (*ID_NAMES, target)
    table = read_table(path, Reading(encoding, named=named, texts=texts | {"id"}))
    if all(name.isdecimal() for name in table.column_names):
        table = read_table(path, Reading(encoding, False, texts=texts | {"0"}))
        if table.num_columns == 1:
            raise DataError(f"{path}: expected a column id and others, found one column without a name")
        names = ["id", *table.column_names[1:]]
        if target is not None:
            names[-1] = target
            note(f"{path}: has no header; its first column is read as the ids, its last as the classes")
        return table.rename_columns(names), "id"
    by_name = {name.lower(): name for name in reversed(table.column_names)}
    key = next((by_name[name.lower()] for name in ID_NAMES if name.lower() in by_name), None)
    if key is None:
        raise DataError(f"{path}: no column id; it has {', '.join(table.column_names)}")
    return read_table(path, Reading(encoding, named=named, texts=texts | {key}, note=note)), key


def _with_lists(table: pa.Table, key: str, path: Path, note: Note) -> tuple[pa.Table, Any]:
    """The table without columns whose cells are lists of numbers, and the matrix of these."""
    parts = []
    for name in table.column_names:
        column = table[name]
        if name == key or not pa.types.is_string(column.type) or not _LIST.fullmatch(column[0].as_py() or ""):
            continue
        rows = [np.array(re.split(r"[,;\s]+", (cell or "").strip(" \t[]()"))) for cell in column.to_pylist()]
        try:
            parts.append(np.array(rows).astype(np.float32))
        except ValueError:
            width = len(rows[0])
            raise DataError(f"{path}: column {name}: expected {width} numbers in each row, as in the first") from None
        note(f"{path}: column {name} is read as {parts[-1].shape[1]} numbers")
        table = table.drop_columns([name])
    return table, scaled_words(np.concatenate(parts, 1)) if parts else None


def scaled_words(features: Any) -> Any:
    """Features as a sparse matrix; each row of counts of words, which are whole numbers, is divided by its sum."""
    matrix = sp.csr_matrix(features, dtype=np.float32)
    if len(matrix.data) and (matrix.data.min() < 0 or (matrix.data != np.floor(matrix.data)).any()):
        return matrix
    sums = np.asarray(matrix.sum(1)).ravel()
    scale = np.divide(1, sums, out=np.zeros_like(sums), where=sums > 0)
    return (sp.diags(scale) @ matrix).tocsr()


def _read_content(files: list[Path], encoding: str, target: str | None, note: Note, texts: frozenset[str]) -> NodeFiles:
    """Cora as it was first published: a row of an id, words and the class for each paper, and who cites whom."""
    path = _only([file for file in files if file.suffix == ".content"], "nodes")
    edges = _only([file for file in files if file.suffix == ".cites"], "edges")
    table = read_table(path, Reading(encoding, False, texts=frozenset({"0"})))
    names = [name or "" for name in strings(table["0"])]
    last = table.column_names[-1]
    features = table.column_names[1:-1]
    if wrong := [name for name in features if not is_numeric(table[name])]:
        raise DataError(f"{path}: column {int(wrong[0]) + 1} holds text; expected an id, numbers and a class")
    columns = [numbers(table[name]).astype(np.float32) for name in features]
    words = scaled_words(np.stack(columns, 1)) if columns else None
    pairs = read_edges(edges, encoding, Ids(names, path), note, lenient=True)
    return NodeFiles(path, names, pairs, pa.table({"id": names, target or "label": table[last]}), ["id"], words)


def _read_ogb(files: list[Path], encoding: str, target: str | None, note: Note, texts: frozenset[str]) -> NodeFiles:
    """OGB's files: a row of features and one of a class for each node, which its number identifies, from 0."""
    of = {file.name.split(".")[0]: file for file in files}
    used = [of[name] for name in ("edge", "node-feat", "node-label") if name in of]
    counts = ("num-node-list", "num-edge-list")
    _tell_ignored(files, [*used, *(of[name] for name in counts if name in of)], note)
    parts = {
        name: read_table(of[name], Reading(encoding, named=(target or "label",), texts=texts, note=note))
        for name in ("node-feat", "node-label")
        if name in of
    }
    path = of.get("node-feat") or of["node-label"]
    size = len(next(iter(parts.values())))
    if len(parts.get("node-label", ())) == size - 1:  # the first class was taken for a name
        parts["node-label"] = read_table(of["node-label"], Reading(encoding, False))
    table = parts.get("node-feat", pa.table({}))
    if (classes := parts.get("node-label")) is not None:
        if classes.num_columns != 1:
            raise DataError(f"{of['node-label']}: expected one column of classes, found {classes.num_columns}")
        if len(classes) != size:
            raise DataError(f"{of['node-label']}: {len(classes)} rows, expected one for each of the {size} nodes")
        table = table.append_column(target or "label", classes.column(0))
    names = [str(index) for index in range(size)]
    if "num-node-list" in of:
        sizes = numbers(read_table(of["num-node-list"], Reading(encoding, False)).column(0)).tolist()
        if len(sizes) > 1:
            raise DataError(f"{of['num-node-list']}: {len(sizes)} graphs, expected one, whose nodes are classified")
        if sizes != [size]:
            raise DataError(f"{path}: {size} rows, expected {sizes[0]:.0f} as {of['num-node-list'].name} says")
    pairs = read_edges(of["edge"], encoding, Ids(names, path), note)
    return NodeFiles(path, names, pairs, without_marks(table), [], None, _listed_splits(path.parent, size))


def _listed_splits(folder: Path, size: int) -> dict[str, Array] | None:
    """The nodes of each split as OGB lists them: `split/time/train.csv`, beside the files or beside their folder."""
    parents = [folder / "split", *([folder.parent / "split"] if folder.name == "raw" else [])]
    files = [
        file for parent in parents for file in sorted(parent.glob("*/*.csv*")) if split_of(file.name.split(".")[0])
    ]
    if len({file.parent for file in files}) > 1:
        schemes = listed(sorted({str(file.parent.relative_to(folder.parent)) for file in files}))
        raise DataError(f"{folder}: several splits, {schemes}; keep one")
    found = {}
    for file in files:
        nodes = numbers(read_table(file, Reading(header=False)).column(0))
        if not ((nodes >= 0) & (nodes < size)).all():
            raise DataError(f"{file}: expected numbers of nodes from 0 to {size - 1}")
        found[split_of(file.name.split(".")[0])] = nodes.astype(np.int64)
    return found or None


def class_column(table: pa.Table, target: str, path: Path) -> str:
    """The column of the classes: the target, or one that is called so in other letters.

    Raises:
        DataError: there is none, or its values hardly recur, as names do.
    """
    names = table.column_names
    usual = LABEL_NAMES if target == "label" else (target,)
    found = [name for name in names if name == target] or [name for name in names if name.lower() == target.lower()]
    found = found or [name for name in names if name.lower() in usual]
    if len(found) != 1:
        raise DataError(
            f"{path}: no column {target} with the classes (--data.target names another); it has {', '.join(names)}"
        )
    values = [value for value in strings(table[found[0]]) if value is not None]
    if found[0] != target and 2 * len(set(values)) > len(values):
        raise DataError(
            f"{path}: column {found[0]} has {len(set(values))} values in {len(values)} rows, as names do; "
            f"--data.target names the column with the classes; there are {', '.join(names)}"
        )
    return found[0]


def _split_columns(table: pa.Table) -> list[str]:
    """The columns that say which split a node is in: one of names, or one for each split, such as `train_mask`."""
    for name in SPLIT_NAMES:
        if name in table.column_names:
            values = {value for value in strings(table[name]) if value}
            if name == "split" or (values and all(map(split_of, values))):
                return [name]
    return [name for name in table.column_names if name.lower().endswith("mask") and split_of(name)]


def splits_in(table: pa.Table, reserved: list[str], path: Path) -> dict[str, Array] | None:
    """The nodes of each split, as columns of the table say.

    Raises:
        DataError: a column says something else, or a node is in two splits.
    """
    columns = [name for name in _split_columns(table) if name in reserved]
    if not columns:
        return None
    chosen: Array = np.full(len(table), "", object)
    for name in columns:
        mask = name.lower().endswith("mask")
        for row, value in enumerate(strings(table[name])):
            text = (value or "").lower()
            if mask and text not in ("true", "false", "1", "0", "1.0", "0.0", ""):
                raise DataError(f"{path}: row {row + 1}: column {name} has {value}, expected true or false")
            split = (split_of(name) if text.startswith(("t", "1")) else "") if mask else split_of(value or "")
            if not mask and text and not split:
                raise DataError(f"{path}: row {row + 1}: column {name} has {value}, expected train, val or test")
            if split and chosen[row]:
                raise DataError(f"{path}: row {row + 1} is in two splits, {chosen[row]} and {split}")
            chosen[row] = split or chosen[row]
    return {split: np.flatnonzero(chosen == split) for split in SPLITS if (chosen == split).any()}
