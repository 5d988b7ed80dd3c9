"""Many graphs concatenated in a few tensors: a batch is one indexing operation."""

from dataclasses import dataclass

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
        node_labels: (N,) int64, or None
        edge_labels: (E,) int64, or None
    """

    node_start: Tensor
    edge_start: Tensor
    edge_index: Tensor
    node_attributes: Tensor
    edge_attributes: Tensor
    node_labels: Tensor | None = None
    edge_labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.node_start) - 1
