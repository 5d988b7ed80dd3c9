"""A classifier of graphs. TODO: what it is."""

from typing import Any

import torch
from torch import Tensor, nn

from datamodules.graphs import Graphs
from lightning_modules.tasks.classifier import Classifier


class NewModel(Classifier):
    """Layers in which each node adds its neighbours' features to its own, and the sum over the nodes of a graph.

    TODO: what it is, with its paper and the formula.

    Args:
        num_features: F, stated by the data, as is num_classes.
        num_classes: K
        hidden_size: D, features of each layer.
        num_layers: number of layers.
        dropout: probability of zeroing a graph's feature in training.
        kwargs: as for Classifier and Task.

    Shapes:
        input Graphs with B graphs of N nodes in all, output (B, K)
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        hidden_size: int = 32,
        num_layers: int = 3,
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        sizes = [num_features, *[hidden_size] * (num_layers - 1)]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(size, hidden_size), nn.BatchNorm1d(hidden_size), nn.ReLU()) for size in sizes
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden_size, num_classes)  # called head: fine-tuning trains it first

    def forward(self, graphs: Graphs) -> Tensor:
        """Logits."""
        source, target = graphs.edge_index
        h = graphs.x
        for layer in self.layers:
            messages = torch.zeros_like(h).index_add(0, target, h.index_select(0, source))
            h = layer(h + messages)  # (N, D)
        pooled = h.new_zeros(graphs.num_graphs, h.shape[1]).index_add(0, graphs.graph, h)
        return self.head(self.dropout(pooled))  # (B, D) → (B, K)
