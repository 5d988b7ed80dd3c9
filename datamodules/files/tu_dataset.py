"""TUDataset's text layout: many graphs in a folder of text files."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from datamodules.errors import DataError
from datamodules.files.splits import Note, is_hidden, listed
from datamodules.files.tu_numbers import Array, labels_in, numbers_in, whole_numbers_in
from datamodules.loading.graph_store import Store

PARTS = ("A", "graph_indicator", "graph_labels", "node_labels", "node_attributes", "edge_labels", "edge_attributes")


class TUGraphs(NamedTuple):
    """The graphs of a folder.

    Args:
        store: the graphs.
        labels: each one's class, None where it is missing; None without a file of them.
        ids: each one's number in the files.
    """

    store: Store
    labels: list[str | None] | None
    ids: list[str]


def tu_files(path: Path) -> dict[str, Path]:
    """The files of a data set by their part of the name, in a folder or in one or two folders inside it.

    Raises:
        DataError: there are none, or those of several data sets.
    """
    found = [path] if path.is_file() and path.name.endswith("_A.txt") else []
    for pattern in ("*_A.txt", "*/*_A.txt", "*/*/*_A.txt"):
        found = found or [
            file for file in sorted(path.glob(pattern)) if not any(map(is_hidden, (file, *file.parents[:2])))
        ]
    named = [file for file in found if file.name.removesuffix("_A.txt") in (path.name, path.parent.name)]
    found = named if len(named) == 1 else found
    if not found:
        raise DataError(f"{path}: expected a folder with NAME_A.txt and NAME_graph_indicator.txt")
    if len(found) > 1:
        names = listed([str(file.relative_to(path)) for file in found])
        raise DataError(f"{path}: holds several data sets, {names}; name the file or the folder of one")
    name = found[0].name.removesuffix("_A.txt")
    return {part: found[0].with_name(f"{name}_{part}.txt") for part in PARTS}


def read_tu(path: Path, note: Note, undirected: bool = False) -> TUGraphs:
    """Read TUDataset's text layout: NAME_A.txt, NAME_graph_indicator.txt, and the optional files.

    Args:
        path: the folder, one that it is in, or its NAME_A.txt.
        note: reports what is unusual.
        undirected: whether an edge without one back is read in both directions.

    Raises:
        DataError: a file is missing or empty, or does not agree with the others.
    """
    file = tu_files(path)
    if not file["graph_indicator"].is_file():
        raise DataError(f"{file['A'].parent}: expected {file['graph_indicator'].name} in it")
    indicator, first = _indicator(file["graph_indicator"], note)
    num_nodes, num_graphs = len(indicator), int(indicator.max()) + 1
    pairs = _pairs(file["A"], indicator, first, note)
    listed_edges = len(pairs)
    pairs, row = _directions(file["A"], pairs, num_nodes, undirected, note)  # row: of each edge in the file

    order = np.argsort(indicator[pairs[:, 0]], kind="stable")
    row = row[order]
    node_start = np.concatenate([[0], np.bincount(indicator, minlength=num_graphs).cumsum()])
    edge_graph = indicator[pairs[order, 0]]
    edge_start = np.concatenate([[0], np.bincount(edge_graph, minlength=num_graphs).cumsum()])

    node_labels = _label_columns(file["node_labels"], num_nodes, "nodes", note)
    edge_labels = _label_columns(file["edge_labels"], listed_edges, "edges", note)
    graph_labels = _label_columns(file["graph_labels"], num_graphs, "graphs", note)
    if len(graph_labels) > 1:
        raise DataError(
            f"{file['graph_labels']}:1: expected one class for each graph, found {len(graph_labels)} columns; "
            f"leave only the one that is to be predicted"
        )
    store = Store(
        node_start=torch.from_numpy(node_start),
        edge_start=torch.from_numpy(edge_start),
        edge_index=torch.from_numpy((pairs[order] - node_start[edge_graph][:, None]).T.copy()),
        node_attributes=_attributes(file["node_attributes"], num_nodes, "nodes"),
        edge_attributes=_attributes(file["edge_attributes"], listed_edges, "edges")[torch.from_numpy(row)],
        node_labels=node_labels,
        edge_labels=[column[row] for column in edge_labels],
    )
    classes = [str(label) or None for label in graph_labels[0].tolist()] if graph_labels else None
    return TUGraphs(store, classes, [str(graph + first) for graph in range(num_graphs)])


def _indicator(path: Path, note: Note) -> tuple[Array, int]:
    """The index of each node's graph, from 0, and the number that the file begins with, 0 or 1."""
    indicator = whole_numbers_in(path).ravel()
    first = 0 if indicator.min() == 0 else 1
    if first == 0:
        note(f"{path}: numbers the graphs from 0")
    indicator = indicator - first
    if indicator.min() < 0 or (np.diff(indicator) < 0).any():
        line = int((np.diff(indicator, prepend=0) < 0).argmax()) + 1
        raise DataError(f"{path}:{line}: expected graph indices that ascend from 1")
    return indicator, first


def _pairs(path: Path, indicator: Array, first: int, note: Note) -> Array:
    """The two nodes of each edge, from 0; whether the file numbers them from 0 or 1 follows from all of its lines."""
    numbered = whole_numbers_in(path)
    if numbered.shape[1] != 2:
        raise DataError(f"{path}:1: expected two node indices in each line, found {numbered.shape[1]}")
    for base in (first, 1 - first):
        if _misfit(numbered - base, indicator) is None:
            if base == 0:
                note(f"{path}: numbers the nodes from 0")
            return numbered - base
    base = 0 if numbered.min() == 0 and numbered.max() < len(indicator) else 1
    row, what = _misfit(numbered - base, indicator) or (0, "")
    one, other = numbered[row]
    last = len(indicator) - 1 + base
    raise DataError(f"{path}:{row + 1}: an edge joins " + what.format(one=one, other=other, last=last))


def _misfit(pairs: Array, indicator: Array) -> tuple[int, str] | None:
    """The first edge that cannot be right, and why."""
    outside = ((pairs < 0) | (pairs >= len(indicator))).any(1)
    if outside.any():
        return int(outside.argmax()), "nodes {one} and {other}, but the last node is {last}"
    across = indicator[pairs[:, 0]] != indicator[pairs[:, 1]]
    return (int(across.argmax()), "nodes of two graphs") if across.any() else None


def _directions(path: Path, pairs: Array, num_nodes: int, undirected: bool, note: Note) -> tuple[Array, Array]:
    """The edges, with those back if they are undirected, and the row of the file that each comes from."""
    rows = np.arange(len(pairs))
    edge, back = pairs @ [num_nodes, 1], pairs @ [1, num_nodes]
    ordered = np.sort(edge)
    lone = ordered[np.searchsorted(ordered, back).clip(max=len(edge) - 1)] != back
    if lone.any():
        how = "both directions" if undirected else "that direction alone (--data.undirected true: in both)"
        note(f"{path}: {lone.sum()} of its {len(pairs)} edges have no edge back, and are read in {how}")
    twice, loops = int((np.diff(ordered) == 0).sum()), int((edge == back).sum())
    if twice or loops:
        note(f"{path}: {twice} edges repeat an earlier one, {loops} join a node with itself; all of them are kept")
    if undirected and lone.any():
        return np.concatenate([pairs, pairs[lone, ::-1]]), np.concatenate([rows, rows[lone]])
    return pairs, rows


def _check_rows(path: Path, found: int, rows: int, what: str) -> None:
    if found != rows:
        raise DataError(f"{path}: {found} lines, expected one for each of the {rows} {what}")


def _label_columns(path: Path, rows: int, what: str, note: Note) -> list[Array]:
    """Each column of an optional file of labels."""
    if not path.is_file():
        return []
    columns = labels_in(path, what, note)
    _check_rows(path, len(columns[0]), rows, what)
    return columns


def _attributes(path: Path, rows: int, what: str) -> Tensor:
    """The matrix in an optional file of numbers."""
    if not path.is_file():
        return torch.empty(rows, 0)
    values = numbers_in(path, float)
    _check_rows(path, len(values), rows, what)
    if not np.isfinite(values).all():
        line, index = (int(where[0]) for where in np.nonzero(~np.isfinite(values)))
        found = values[line, index]
        raise DataError(f"{path}:{line + 1}: column {index + 1} is {found}, expected a finite number")
    return torch.from_numpy(values).float()
