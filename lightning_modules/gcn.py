"""Graph convolutional network for node classification."""

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from datamodules.loading.node_batches import Graph
from lightning_modules.layers.graph import dropout
from lightning_modules.layers.sparse import sparse_product
from lightning_modules.tasks.classifier import Classifier


class GraphConvolution(nn.Module):
    """A graph convolution, `A X W + b`, where A is the normalised adjacency of the graph with self-loops.

    Kipf & Welling 2017, https://arxiv.org/abs/1609.02907.

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
        """A weighted sum of the projected features of each node and its neighbours."""
        h = sparse_product(x, self.weight)  # (N, F) → (N, G)
        return sparse_product(adjacency, h) + self.bias


class GCN(Classifier):
    """Graph convolutions with rectified linear units and dropout between them.

    Kipf & Welling 2017, https://arxiv.org/abs/1609.02907: `H' = ReLU(D^-1/2 (A + I) D^-1/2 H W + b)`.

    Args:
        num_features: F, features of each node.
        num_classes: C
        hidden_size: features of each layer but the last.
        num_layers: number of graph convolutions.
        dropout: dropout probability of each layer's inputs.
        kwargs: arguments of Classifier and Task.

    Shapes:
        input a Graph of N nodes, B of them requested; output (B, C)
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
        self.num_hops = num_layers
        self.layers = nn.ModuleList(GraphConvolution(*pair) for pair in itertools.pairwise(sizes))
        self.dropout = dropout

    def forward(self, graph: Graph) -> Tensor:
        """Logits of the requested nodes."""
        h = graph.x
        for layer in self.layers[:-1]:
            h = layer(dropout(h, self.dropout, self.training), graph.adjacency).relu()  # (N, G)
        h = self.layers[-1](dropout(h, self.dropout, self.training), graph.adjacency)  # (N, C)
        return h.index_select(0, graph.nodes)  # (B, C)
