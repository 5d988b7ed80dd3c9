"""A classifier of the nodes of one graph. TODO: what it is."""

from typing import Any

from torch import Tensor, nn

from datamodules.loading.node_batches import Graph
from lightning_modules.tasks.classifier import Classifier


class NewModel(Classifier):
    """Features averaged over neighbours of neighbours, and a linear classifier. TODO: what it is, with its paper.

    Args:
        num_features: F, stated by the data, as is num_classes.
        num_classes: K
        num_hops: how many edges away a node's neighbours may be.
        kwargs: as for Classifier and Task.

    Shapes:
        input a Graph with B nodes to classify of N, output (B, K)
    """

    def __init__(self, num_features: int, num_classes: int, num_hops: int = 2, **kwargs: Any) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        self.num_hops = num_hops
        self.head = nn.Linear(num_features, num_classes)  # called head: fine-tuning trains it first

    def forward(self, graph: Graph) -> Tensor:
        """Logits of the nodes to classify."""
        h = graph.x @ self.head.weight.T  # (N, F) → (N, K), dense or sparse
        for _ in range(self.num_hops):
            h = graph.adjacency @ h
        return (h + self.head.bias).index_select(0, graph.nodes)  # (B, K)
