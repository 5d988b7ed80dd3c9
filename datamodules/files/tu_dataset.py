"""TUDataset's text layout: many graphs in a folder of text files."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.files.paths import regular
from datamodules.loading.graph_store import Store
from datamodules.storage.download import DataError


def _numbers(path: Path, dtype: Any) -> np.ndarray[Any, Any]:
    """A file of comma-separated numbers as a matrix.

    Raises:
        DataError: it contains something else; the message has the line.
    """
    with regular(path).open("rb") as file:
        if not file.read(1 << 16).strip():
            raise DataError(f"{path}: the file is empty")
    try:
        return np.loadtxt(path, dtype=dtype, delimiter=",", ndmin=2, encoding="latin-1")
    except ValueError as error:
        width = None
        for line, text in enumerate(path.read_text(encoding="latin-1").splitlines(), 1):  # decodes any bytes
            cells = text.split(",")
            width = width or len(cells)
            try:
                [dtype(cell) for cell in cells]
            except ValueError:
                raise DataError(f"{path}:{line}: expected numbers, found {text.strip()}") from None
            if len(cells) != width:
                raise DataError(f"{path}:{line}: expected {width} numbers, found {len(cells)}") from None
        raise DataError(f"{path}: {error}") from None


def read_tu(folder: Path, name: str) -> tuple[Store, list[str] | None]:
    """Read TUDataset's text layout: NAME_A.txt, NAME_graph_indicator.txt, and the optional files.

    Returns:
        The graphs, and each one's class if NAME_graph_labels.txt is there.

    Raises:
        DataError: a file is missing or empty, or does not agree with the others.
    """
    file = {
        part: folder / f"{name}_{part}.txt"
        for part in (
            "A", "graph_indicator", "graph_labels", "node_labels", "node_attributes", "edge_labels", "edge_attributes"
        )
    }  # fmt: skip
    for part in ("A", "graph_indicator"):
        if not file[part].is_file():
            raise DataError(f"{folder}: expected {file[part].name} in it")
    indicator = _numbers(file["graph_indicator"], int).ravel() - 1
    if indicator.min() < 0 or (np.diff(indicator) < 0).any():
        line = int((np.diff(indicator, prepend=0) < 0).argmax()) + 1
        raise DataError(f"{file['graph_indicator']}:{line}: expected graph indices that ascend from 1")
    num_nodes, num_graphs = len(indicator), int(indicator.max()) + 1
    pairs = _numbers(file["A"], int)
    if pairs.shape[1] != 2:
        raise DataError(f"{file['A']}:1: expected two node indices in each line, found {pairs.shape[1]}")
    pairs = pairs - 1
    outside = ((pairs < 0) | (pairs >= num_nodes)).any(1)
    if outside.any():
        line = int(outside.argmax())
        raise DataError(
            f"{file['A']}:{line + 1}: an edge joins nodes {pairs[line, 0] + 1} and {pairs[line, 1] + 1}, "
            f"but the last node is {num_nodes}"
        )
    across = indicator[pairs[:, 0]] != indicator[pairs[:, 1]]
    if across.any():
        raise DataError(f"{file['A']}:{int(across.argmax()) + 1}: an edge joins nodes of two graphs")

    order = np.argsort(indicator[pairs[:, 0]], kind="stable")
    node_start = np.concatenate([[0], np.bincount(indicator, minlength=num_graphs).cumsum()])
    edge_graph = indicator[pairs[order, 0]]
    edge_start = np.concatenate([[0], np.bincount(edge_graph, minlength=num_graphs).cumsum()])

    def column(part: str, rows: int, what: str, dtype: Any) -> np.ndarray[Any, Any] | None:
        if not file[part].is_file():
            return None
        values = _numbers(file[part], dtype)
        if len(values) != rows:
            raise DataError(f"{file[part]}: {len(values)} lines, expected one for each of the {rows} {what}")
        if not np.isfinite(values).all():
            line, index = (int(where[0]) for where in np.nonzero(~np.isfinite(values)))
            found = values[line, index]
            raise DataError(f"{file[part]}:{line + 1}: column {index + 1} is {found}, expected a finite number")
        return values

    node_attributes = column("node_attributes", num_nodes, "nodes", float)
    edge_attributes = column("edge_attributes", len(pairs), "edges", float)
    node_labels = column("node_labels", num_nodes, "nodes", int)
    edge_labels = column("edge_labels", len(pairs), "edges", int)
    graph_labels = column("graph_labels", num_graphs, "graphs", int)
    store = Store(
        node_start=torch.from_numpy(node_start),
        edge_start=torch.from_numpy(edge_start),
        edge_index=torch.from_numpy((pairs[order] - node_start[edge_graph][:, None]).T.copy()),
        node_attributes=_floats(node_attributes, num_nodes),
        edge_attributes=_floats(None if edge_attributes is None else edge_attributes[order], len(pairs)),
        node_labels=None if node_labels is None else torch.from_numpy(node_labels[:, 0]),
        edge_labels=None if edge_labels is None else torch.from_numpy(edge_labels[order, 0]),
    )
    return store, None if graph_labels is None else [str(label) for label in graph_labels[:, 0]]


def _floats(values: np.ndarray[Any, Any] | None, rows: int) -> Tensor:
    return torch.empty(rows, 0) if values is None else torch.from_numpy(values).float()


def tu_name(folder: Path) -> str:
    """The common prefix of the files of a folder in TUDataset's layout."""
    files = sorted(folder.glob("*_A.txt")) if folder.is_dir() else []
    if not files:
        raise DataError(f"{folder}: expected a folder with NAME_A.txt and NAME_graph_indicator.txt")
    return files[0].name.removesuffix("_A.txt")
