"""A folder with a graph: nodes.csv, with a column of ids and those of the features, and edges.csv, of two ids a row."""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scripts.cli.export.standalone.cells import features_of


def examples(path: Path, graph: Any) -> Iterator[tuple[list[str], dict[str, Any], Any]]:
    """The features of all nodes, and the edges in both directions."""
    with (path / "nodes.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = [*csv.DictReader(file)]
    column = next((name for name in graph["ids"] if name in rows[0]), next(iter(rows[0])))
    ids = [row[column].strip() for row in rows]
    place = {node: index for index, node in enumerate(ids)}
    with (path / "edges.csv").open(encoding="utf-8-sig", newline="") as file:
        pairs = [(row[0].strip(), row[1].strip()) for row in csv.reader(file)]
    if not {*pairs[0]} <= place.keys():  # the names of the columns
        pairs = pairs[1:]
    if missing := {node for pair in pairs for node in pair} - place.keys():
        sys.exit(f"error: {path / 'edges.csv'}: {sorted(missing)[0]} is no node of nodes.csv")
    both = {edge for one, other in pairs for edge in ((one, other), (other, one)) if one != other}
    edges = np.array(sorted((place[one], place[other]) for one, other in both), np.int64).reshape(-1, 2)
    if graph["columns"]:
        x = np.array([features_of(row, graph) for row in rows], np.float32)
    elif len(ids) == graph["num_nodes"]:
        x = np.eye(len(ids), dtype=np.float32)
    else:
        sys.exit(f"error: {path}: has {len(ids)} nodes, expected the {graph['num_nodes']} of training")
    yield ids, {"x": x, "edge_index": edges.T.copy()}, None
