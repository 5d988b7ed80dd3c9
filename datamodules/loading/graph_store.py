"""Many graphs end to end in a few tensors, from which a batch is cut in one indexing operation."""

from dataclasses import dataclass

from torch import Tensor


@dataclass
class Store:
    """G graphs end to end.

    Args:
        node_start: (G + 1,) where each graph's nodes begin.
        edge_start: (G + 1,) where each graph's edges begin.
        edge_index: (2, E), numbered within each graph.
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
