"""Batches of one graph's nodes: with the whole graph, with neighbours, or with the clusters that they are in."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.loading.adjacency import normalised, rows_of
from datamodules.loading.neighbourhoods import Neighbourhoods


class Graph(NamedTuple):
    """A graph, whole or what some nodes depend on, and the nodes to classify.

    Args:
        x: (N, F) features, dense or sparse CSR.
        edge_index: (2, E), from the first row's nodes to the second's; no loops; of a whole graph both directions.
        adjacency: (N, N) sparse CSR, D^-1/2 (A + I) D^-1/2, where D are the row sums of A + I in the whole graph.
        nodes: (B,) indices.
        ids: (N,) index of each node in the whole graph; None where this is it.
    """

    x: Tensor
    edge_index: Tensor
    adjacency: Tensor
    nodes: Tensor
    ids: Tensor | None = None

    @property
    def requested(self) -> Tensor:
        """(B,) indices in the whole graph of the nodes to classify."""
        return self.nodes if self.ids is None else self.ids[self.nodes]

    @property
    def batch(self) -> Tensor:
        """(N,) zeros: all nodes are of one graph, as torch_geometric says it."""
        return self.nodes.new_zeros(self.x.shape[0])

    def features(self) -> Tensor:
        """(B, F) the features of the nodes to classify, dense."""
        rows = rows_of(self.x, self.nodes)
        return rows if rows.layout == torch.strided else rows.to_dense()


class Seeds(NamedTuple):
    """Nodes to classify; what they depend on becomes a Graph on its way to the model.

    Args:
        source: the whole graph.
        nodes: (B,) indices.
        num_neighbors: how many neighbours of a node are sampled, at each step away from the nodes; None where the
            nodes depend on a part of the graph.
        clusters: (N,) cluster of each node: the part is the clusters that the nodes are in; None for the whole graph.
    """

    source: Neighbourhoods
    nodes: Tensor
    num_neighbors: Sequence[int] | None
    clusters: Tensor | None = None

    @property
    def requested(self) -> Tensor:
        """(B,) indices in the whole graph of the nodes to classify."""
        return self.nodes

    def graph(self) -> Graph:
        """The nodes with their neighbours, or their clusters."""
        if self.num_neighbors is not None:
            return Graph(*self.source.around(self.nodes, self.num_neighbors))
        if self.clusters is None:
            return Graph(*self.source.around_all(self.nodes))
        part = torch.isin(self.clusters, self.clusters[self.nodes])
        return Graph(*self.source.within(self.nodes, part))


def complete(x: Tensor, adjacency: Any) -> Graph:
    """A complete graph as tensors, with all of its nodes to classify.

    Args:
        x: (N, F) features.
        adjacency: scipy (N, N), symmetric, of ones and zeros, without loops.
    """
    pairs = torch.from_numpy(np.stack(adjacency.nonzero()).astype(np.int64))
    return Graph(x, pairs, normalised(adjacency), torch.arange(adjacency.shape[0]))


class NodeExamples(Dataset[Any]):
    """Some nodes of a graph; a batch is the whole graph, the nodes to classify, and their labels.

    Args:
        graph: the graph, or nodes of it, of which a batch has others.
        index: (M,) the nodes of this split.
        labels: (N,) of all nodes; None for predictions.
    """

    def __init__(self, graph: Graph | Seeds, index: Tensor, labels: Tensor | None = None) -> None:
        self.graph = graph
        self.index = index
        self.labels = labels

    def __len__(self) -> int:
        return len(self.index)

    @property
    def clusters(self) -> Tensor | None:
        """(M,) of the nodes of this split, where batches consist of clusters."""
        clusters = self.graph.clusters if isinstance(self.graph, Seeds) else None
        return None if clusters is None else clusters[self.index]

    def __getitem__(self, index: Tensor) -> Any:
        nodes = self.index[index]
        graph = self.graph._replace(nodes=nodes)
        return graph if self.labels is None else (graph, self.labels[nodes])
