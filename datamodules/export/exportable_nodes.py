"""Exported models that read one graph, and classify all of its nodes."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from datamodules.export.exportable import ExportableModule
from datamodules.export.exportable_rows import cells
from datamodules.files.node_tables import ID_NAMES
from datamodules.loading.adjacency import normalised_adjacency
from datamodules.loading.node_batches import Graph


class Neighbours:
    """D^-1/2 (A + I) D^-1/2 of an undirected graph, which can be multiplied with its nodes' features.

    Args:
        edge_index: (2, E), both directions, no loops.
        size: N, nodes.
    """

    def __init__(self, edge_index: Tensor, size: int) -> None:
        loops = torch.arange(size, device=edge_index.device)
        self.source, self.target = (torch.cat([part, loops]) for part in edge_index)
        ones = torch.ones_like(self.target, dtype=torch.float)
        scale = ones.new_zeros(size).index_add(0, self.target, ones).rsqrt()
        self.weight = (scale[self.source] * scale[self.target])[:, None]

    def __matmul__(self, h: Tensor) -> Tensor:
        """(N, D) → (N, D)"""
        return torch.zeros_like(h).index_add(0, self.target, h[self.source] * self.weight)


class ExportableNodes(ExportableModule):
    """Reads one graph, and classifies all of its nodes."""

    unit = "nodes"

    def __init__(self, model: nn.Module, data: Any) -> None:
        super().__init__(model, data)
        self.reads = "" if data.num_words else "nodes"  # words come in many forms of files
        self.graph = data.whole
        size, width = self.graph.x.shape
        self.sizes = (size, size // 2)
        self.inputs = {"x": ("nodes", width), "edge_index": (2, "edges")}

    def preprocessing(self) -> dict[str, Any]:
        """How the columns of a table become features; without any, each node has its index, one-hot."""
        return cells(self.data.columns) | {"ids": ID_NAMES, "num_nodes": self.data.num_nodes}

    def batches(self) -> Iterator[Graph]:
        """The graph, and its first half."""
        from torch_geometric.utils import subgraph  # seconds to import

        nodes = torch.arange(self.sizes[0])
        for size in self.sizes:
            edges, _ = subgraph(nodes[:size], self.graph.edge_index, num_nodes=len(nodes))
            yield Graph(self.graph.x.to_dense()[:size], edges, normalised_adjacency(edges, size), nodes[:size])

    def tensors(self, batch: Any) -> tuple[Tensor, ...]:
        """Nodes and edges."""
        return batch.x, batch.edge_index

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:  # type: ignore[override]
        """Logits (N, C)."""
        size = x.shape[0]
        adjacency: Any = Neighbours(edge_index, size)
        return self.network(Graph(x, edge_index, adjacency, torch.arange(size, device=x.device)))
