"""One graph: torch_geometric's layers on its dense features, as in its examples for Cora."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import GATConv, GCNConv

from datamodules.base import DataModule
from scripts.cli.measure.references.loop import train


class PlainGCN(nn.Module):
    """Two graph convolutions, of the sizes of ours; the normalised adjacency is cached."""

    def __init__(self, model: Any, num_features: int) -> None:
        super().__init__()
        width = model.layers[0].weight.shape[1]
        self.first, self.last = (
            GCNConv(num_features, width, cached=True),
            GCNConv(width, model.num_classes, cached=True),
        )
        self.dropout = model.dropout

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Logits of all nodes."""
        h = self.first(F.dropout(x, self.dropout, self.training), edge_index).relu()
        return self.last(F.dropout(h, self.dropout, self.training), edge_index)


class PlainGAT(nn.Module):
    """Two layers of graph attention, of the sizes of ours."""

    def __init__(self, model: Any, num_features: int) -> None:
        super().__init__()
        heads, width = model.layers[0].of_target.shape
        self.first = GATConv(num_features, width, heads, dropout=model.dropout)
        output_heads = model.layers[-1].num_heads
        self.last = GATConv(heads * width, model.num_classes, output_heads, concat=False, dropout=model.dropout)
        self.dropout = model.dropout

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Logits of all nodes."""
        h = F.elu(self.first(F.dropout(x, self.dropout, self.training), edge_index))
        return self.last(F.dropout(h, self.dropout, self.training), edge_index)


def _steps(model: Any, network: type[nn.Module], data: DataModule, total: int, clip: float | None) -> Iterator[Any]:
    split: Any = data.split_examples("train")
    batch = split[torch.arange(len(split))]
    graph, target = batch
    x, plain = graph.x.to_dense(), network(model, graph.x.shape[1])

    def loss(batch: Any) -> Tensor:
        return F.cross_entropy(plain(x, graph.edge_index)[graph.nodes], target)

    return train(model, plain, [batch], loss, total, clip)


def gcn(model: Any, data: DataModule, total: int, clip: float | None) -> Iterator[Any]:
    """The steps of a graph convolutional network."""
    return _steps(model, PlainGCN, data, total, clip)


def gat(model: Any, data: DataModule, total: int, clip: float | None) -> Iterator[Any]:
    """The steps of a graph attention network."""
    return _steps(model, PlainGAT, data, total, clip)
