"""Graph attention network for node classification."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from datamodules.loading.node_batches import Graph
from lightning_modules.layers.graph import GraphAttention, attention_of, dropout
from lightning_modules.tasks.classifier import Classifier


class NodeGAT(Classifier):
    """Graph attention layers with dropout between them; the last one's heads are averaged.

    Veličković et al. 2018, section 3.3, transductive learning, https://arxiv.org/abs/1710.10903.

    Args:
        num_features: F, features of each node.
        num_classes: C
        hidden_size: D, features of each head.
        num_heads: H, number of attention heads in each layer but the last.
        num_output_heads: number of attention heads in the last layer.
        num_layers: number of attention layers.
        dropout: dropout probability of each layer's inputs and of its attention weights.
        kwargs: arguments of Classifier and Task.

    Shapes:
        input a Graph of N nodes, B of them requested; output (B, C)
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        hidden_size: int = 8,
        num_heads: int = 8,
        num_output_heads: int = 1,
        num_layers: int = 2,
        dropout: float = 0.6,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        self.num_hops = num_layers
        sizes = [num_features, *[hidden_size * num_heads] * (num_layers - 1)]
        self.layers = nn.ModuleList(
            GraphAttention(size, hidden_size, num_heads, dropout=dropout) for size in sizes[:-1]
        )
        self.layers.append(GraphAttention(sizes[-1], num_classes, num_output_heads, dropout=dropout, average=True))
        self.dropout = dropout

    def forward(self, graph: Graph) -> Tensor:
        """Logits of the requested nodes."""
        h = graph.x
        for layer in self.layers[:-1]:
            h = F.elu(layer(dropout(h, self.dropout, self.training), graph.edge_index))  # (N, H · D)
        h = self.layers[-1](dropout(h, self.dropout, self.training), graph.edge_index)  # (N, C)
        return h.index_select(0, graph.nodes)  # (B, C)

    def attention_of_edges(self, graphs: Graph) -> Tensor | None:
        """The attention of each edge."""
        return attention_of(self, graphs)
