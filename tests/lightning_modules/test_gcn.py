import itertools
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from datamodules.loading.adjacency import csr, normalised_adjacency, undirected
from datamodules.loading.node_batches import Graph
from lightning_modules.gcn import GCN
from lightning_modules.layers.graph import dropout


def random_graph(size: int = 12, features: int = 5) -> Graph:
    torch.manual_seed(0)
    pairs = torch.tensor([pair for pair in itertools.combinations(range(size), 2) if torch.rand(()) < 0.3]).numpy()
    matrix = undirected(pairs, size)
    x = torch.randn(size, features) * (torch.rand(size, features) < 0.5)
    edges = torch.from_numpy(np.stack(matrix.nonzero()).astype(np.int64))
    return Graph(csr(sp.csr_matrix(x.numpy())), edges, normalised_adjacency(edges, size), torch.arange(size))


@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_equals_the_dense_formula(num_layers: int) -> None:
    graph = random_graph()
    model = GCN(num_features=5, num_classes=3, num_layers=num_layers).eval()
    size = len(graph.nodes)
    looped = torch.eye(size)
    looped[graph.edge_index[0], graph.edge_index[1]] = 1
    scale = looped.sum(1).rsqrt()
    adjacency = scale[:, None] * looped * scale  # D^-1/2 (A + I) D^-1/2
    h = graph.x.to_dense()
    layers: Any = model.layers
    for index, layer in enumerate(layers):
        h = adjacency @ h @ layer.weight + layer.bias
        if index < num_layers - 1:
            h = h.relu()
    torch.testing.assert_close(model(graph), h)


def test_dense_and_sparse_features_give_the_same_gradients() -> None:
    graph = random_graph()
    model = GCN(num_features=5, num_classes=3, dropout=0.0)
    gradients = []
    for x in (graph.x, graph.x.to_dense()):
        model.zero_grad()
        model(graph._replace(x=x)).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None])
    torch.testing.assert_close(*gradients)


def test_logits_are_those_of_the_requested_nodes() -> None:
    graph = random_graph()
    model = GCN(num_features=5, num_classes=3).eval()
    nodes = torch.tensor([7, 2, 2])
    torch.testing.assert_close(model(graph._replace(nodes=nodes)), model(graph)[nodes])


def test_sparse_dropout_keeps_zeros_and_the_mean() -> None:
    x = csr(sp.random(400, 400, density=0.2, random_state=0, format="csr"))
    dropped = dropout(x, 0.5, training=True)
    assert dropped.to_dense()[x.to_dense() == 0].abs().max() == 0
    assert dropped.values().sum() == pytest.approx(float(x.values().sum()), rel=0.05)
    assert 0.45 < (dropped.values() == 0).float().mean() < 0.55
    assert dropout(x, 0.5, training=False) is x
