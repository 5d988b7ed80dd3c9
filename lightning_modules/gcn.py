"""Graph convolutional network for the nodes of one graph."""

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from datamodules.nodes import Graph
from lightning_modules.layers.graph import dropout
from lightning_modules.tasks.classifier import Classifier


class GraphConvolution(nn.Module):
    """One layer, `A X W + b`, where A is the normalised adjacency of the graph with loops.

    Args:
        in_features: F
        out_features: G

    Shapes:
        x (N, F) dense or sparse, adjacency (N, N) sparse, output (N, G)
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(in_features, out_features)))
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """Mix each node's projected features with its neighbours'."""
        return adjacency @ (x @ self.weight) + self.bias  # (N, F) → (N, G) → (N, G)


class GCN(Classifier):
    """Graph convolutions with rectifiers and dropout between them.

    Kipf & Welling 2017, https://arxiv.org/abs/1609.02907: `H' = ReLU(D^-1/2 (A + I) D^-1/2 H W + b)`.

    Args:
        num_features: F
        num_classes: C
        hidden_size: features of each layer but the last.
        num_layers: number of graph convolutions.
        dropout: share of each layer's inputs silenced in training.
        kwargs: as for Classifier and Task.

    Shapes:
        input a Graph with B nodes asked for, output (B, C)
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        hidden_size: int = 16,
        num_layers: int = 2,
        dropout: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        sizes = [num_features, *[hidden_size] * (num_layers - 1), num_classes]
        self.layers = nn.ModuleList(GraphConvolution(*pair) for pair in itertools.pairwise(sizes))
        self.dropout = dropout

    def forward(self, graph: Graph) -> Tensor:
        """Logits of the nodes asked for."""
        h = graph.x
        for layer in self.layers[:-1]:
            h = layer(dropout(h, self.dropout, self.training), graph.adjacency).relu()
        h = self.layers[-1](dropout(h, self.dropout, self.training), graph.adjacency)  # (N, C)
        return h.index_select(0, graph.nodes)  # (B, C)
