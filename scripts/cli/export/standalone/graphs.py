"""A folder of graphs in TUDataset's text layout: NAME_A.txt, NAME_graph_indicator.txt, labels and attributes."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


def examples(path: Path, graph: Any) -> Iterator[tuple[list[str], dict[str, Any], Any]]:
    """The features of the nodes, and the edges, of each graph."""
    edges, owner = columns(path, "A").astype(np.int64) - 1, columns(path, "graph_indicator")[:, 0].astype(np.int64)
    nodes, links = (
        features(path, "node", graph["nodes"], len(owner)),
        features(path, "edge", graph["edges"], len(edges)),
    )
    if graph["max_degree"]:
        degrees = np.bincount(edges[:, 0], minlength=len(owner)).clip(max=graph["max_degree"])
        nodes = np.concatenate([nodes, np.eye(graph["max_degree"] + 1)[degrees]], axis=1)
    if not nodes.shape[1]:
        nodes = np.ones((len(owner), 1))
    for index in np.unique(owner):
        inside, first = edges[owner[edges[:, 0]] == index], int((owner < index).sum())
        tensors = {"x": nodes[owner == index], "edge_index": (inside - first).T.astype(np.int64)}
        tensors["num_nodes"] = np.array([(owner == index).sum()], np.int64)
        if links.shape[1]:
            tensors["edge_attr"] = links[owner[edges[:, 0]] == index].astype(np.float32)
        yield [str(index)], tensors | {"x": tensors["x"].astype(np.float32)}, None


def columns(path: Path, name: str) -> Any:
    """The numbers of a file, a row for each of its lines."""
    for file in path.glob(f"*_{name}.txt"):
        return np.loadtxt(file, delimiter=",", ndmin=2)
    sys.exit(f"error: {path}: expected a file *_{name}.txt in it")


def features(path: Path, kind: str, known: Any, size: int) -> Any:
    """The labels, one-hot, and the standardised attributes of all nodes or edges."""
    parts = [np.empty((size, 0))]
    if known["labels"]:
        labels = columns(path, f"{kind}_labels")
        parts += [labels[:, [column]] == np.array(values, float) for column, values in enumerate(known["labels"])]
    if known["mean"]:
        parts.append((columns(path, f"{kind}_attributes") - known["mean"]) / known["std"])
    return np.concatenate(parts, axis=1)
