"""Graph attention network for graph classification."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import global_add_pool, global_max_pool, global_mean_pool

from datamodules.graphs import Graphs
from lightning_modules.layers.graph import GraphAttention, attention_of
from lightning_modules.tasks.classifier import Classifier

Pooling = Literal["mean", "max", "sum"]
POOLINGS = {"mean": global_mean_pool, "max": global_max_pool, "sum": global_add_pool}


class GAT(Classifier):
    """Graph attention layers, a pooling of each graph's nodes after every layer, and a classifier of all of them.

    Veličković et al. 2018, https://arxiv.org/abs/1710.10903; the pooled features of all layers are concatenated as in
    Xu et al. 2018, https://arxiv.org/abs/1806.03536.

    Args:
        num_features: F, features of each node.
        num_classes: C
        num_edge_features: E, features of each edge.
        hidden_size: D, features of each head.
        num_heads: H
        num_layers: number of attention layers.
        pooling: reduction of a graph's nodes to one vector: mean, max or sum.
        dropout: dropout probability of features and of attention weights.
        kwargs: arguments of Classifier and Task.

    Shapes:
        input Graphs with B graphs of N nodes in all, output (B, C)
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        num_edge_features: int = 0,
        hidden_size: int = 8,
        num_heads: int = 8,
        num_layers: int = 3,
        pooling: Pooling = "mean",
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        width = hidden_size * num_heads
        sizes = [num_features, *[width] * (num_layers - 1)]
        self.layers = nn.ModuleList(
            GraphAttention(size, hidden_size, num_heads, num_edge_features, dropout) for size in sizes
        )
        self.shortcuts = nn.ModuleList(nn.Linear(size, width, bias=False) for size in sizes)
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in sizes)
        self.pool = POOLINGS[pooling]
        self.dropout = dropout
        self.head = nn.Sequential(
            nn.Linear(width * num_layers, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, num_classes)
        )

    def forward(self, graphs: Graphs) -> Tensor:
        """Logits."""
        h = graphs.x
        pooled = []
        for layer, shortcut, norm in zip(self.layers, self.shortcuts, self.norms, strict=True):
            h = F.elu(norm(layer(h, graphs.edge_index, graphs.edge_attr) + shortcut(h)))  # (N, H · D)
            h = F.dropout(h, self.dropout, self.training)
            pooled.append(self.pool(h, graphs.graph, graphs.num_graphs))  # (B, H · D)
        return self.head(torch.cat(pooled, dim=1))

    def attention_of_edges(self, graphs: Graphs) -> Tensor | None:
        """The attention of each edge."""
        return attention_of(self, graphs)
