"""Many graphs: torch_geometric's Data and DataLoader."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

from datamodules.base import DataModule
from datamodules.graphs import Graphs
from scripts.cli.measure.references.loop import train


def classifier(model: Any, data: DataModule, total: int, clip: float | None) -> Iterator[Any]:
    """A graph classifier's steps."""
    split: Any = data.split_examples("train")
    examples = []
    for index in range(len(split)):
        graph, label = split[torch.tensor([index])]
        examples.append(Data(x=graph.x, edge_index=graph.edge_index, edge_attr=graph.edge_attr, y=label))
    loader: Any = DataLoader(examples, data.batch_size, shuffle=True, drop_last=True)

    def loss(batch: Any) -> Tensor:
        graphs = Graphs(batch.x, batch.edge_index, batch.edge_attr, batch.batch, batch.num_graphs)
        return F.cross_entropy(model(graphs), batch.y)

    return train(model, model, loader, loss, total, clip)
