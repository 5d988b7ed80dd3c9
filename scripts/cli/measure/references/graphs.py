"""Many graphs: torch_geometric's Data, DataLoader and layers."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GATConv

from datamodules.base import DataModule
from scripts.cli.measure.references.loop import train


class PlainGAT(nn.Module):
    """The network of ours, its attention from torch_geometric."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        sizes = [shortcut.in_features for shortcut in model.shortcuts]
        heads, width = model.layers[0].of_target.shape
        edges = model.layers[0].of_edge
        self.layers = nn.ModuleList(
            GATConv(
                size,
                width,
                heads,
                dropout=model.dropout,
                edge_dim=None if edges is None else edges.in_features,
                fill_value=0.0,
            )
            for size in sizes
        )
        self.shortcuts, self.norms, self.head = model.shortcuts, model.norms, model.head
        self.pool, self.dropout = model.pool, model.dropout

    def forward(self, batch: Any) -> Tensor:
        """Logits of all graphs."""
        h, pooled = batch.x, []
        for layer, shortcut, norm in zip(self.layers, self.shortcuts, self.norms, strict=True):
            edge_attr = batch.edge_attr if batch.edge_attr.shape[1] else None
            h = F.elu(norm(layer(h, batch.edge_index, edge_attr) + shortcut(h)))
            h = F.dropout(h, self.dropout, self.training)
            pooled.append(self.pool(h, batch.batch, batch.num_graphs))
        return self.head(torch.cat(pooled, dim=1))


def gat(model: Any, data: DataModule, total: int, clip: float | None) -> Iterator[Any]:
    """The steps of a graph attention network."""
    split: Any = data.split_examples("train")
    examples = []
    for index in range(len(split)):
        graph, label = split[torch.tensor([index])]
        examples.append(Data(x=graph.x, edge_index=graph.edge_index, edge_attr=graph.edge_attr, y=label))
    loader: Any = DataLoader(examples, data.batch_size, shuffle=True, drop_last=True)
    plain = PlainGAT(model)
    return train(model, plain, loader, lambda batch: F.cross_entropy(plain(batch), batch.y), total, clip)
