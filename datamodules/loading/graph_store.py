"""Many graphs concatenated in a few tensors: a batch is one indexing operation."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor


@dataclass
class Store:
    """G concatenated graphs.

    Args:
        node_start: (G + 1,) index of each graph's first node.
        edge_start: (G + 1,) index of each graph's first edge.
        edge_index: (2, E) node indices within each graph.
        node_attributes: (N, A) float
        edge_attributes: (E, B) float
        node_labels: (N,) arrays, int64 or text, one for each label that a node has
        edge_labels: (E,) arrays, the same of the edges
    """

    node_start: Tensor
    edge_start: Tensor
    edge_index: Tensor
    node_attributes: Tensor
    edge_attributes: Tensor
    node_labels: list[np.ndarray[Any, Any]] = field(default_factory=list)
    edge_labels: list[np.ndarray[Any, Any]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.node_start) - 1
