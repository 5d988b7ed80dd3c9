import itertools
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.nn import functional as F
from torch_geometric.nn import GATConv

from datamodules.loading.adjacency import csr, normalised_adjacency, undirected
from datamodules.loading.node_batches import Graph
from lightning_modules.gat_nodes import NodeGAT


@pytest.fixture(scope="module")
def graph() -> Graph:
    """Twelve nodes with sparse features; the last one has no neighbour."""
    torch.manual_seed(0)
    pairs = torch.tensor([pair for pair in itertools.combinations(range(11), 2) if torch.rand(()) < 0.3]).numpy()
    matrix = undirected(pairs, 12)
    x = torch.randn(12, 5) * (torch.rand(12, 5) < 0.5)
    edges = torch.from_numpy(np.stack(matrix.nonzero()).astype(np.int64))
    return Graph(csr(sp.csr_matrix(x.numpy())), edges, normalised_adjacency(edges, 12), torch.arange(12))


@pytest.mark.parametrize("num_output_heads", [1, 8])
def test_equals_torch_geometric_after_copying_the_weights(graph: Graph, num_output_heads: int) -> None:
    model = NodeGAT(num_features=5, num_classes=3, num_output_heads=num_output_heads).eval()
    first, second = GATConv(5, 8, heads=8), GATConv(64, 3, heads=num_output_heads, concat=False)
    layers: Any = model.layers
    with torch.no_grad():
        for ours, theirs in zip(layers, (first, second), strict=True):
            torch.nn.init.normal_(ours.bias)
            theirs.lin.weight.copy_(ours.project.weight)
            theirs.att_src.copy_(ours.of_source[None])
            theirs.att_dst.copy_(ours.of_target[None])
            theirs.bias.copy_(ours.bias)
    expected = second(F.elu(first(graph.x.to_dense(), graph.edge_index)), graph.edge_index)
    torch.testing.assert_close(model(graph), expected, atol=1e-5, rtol=1e-5)


def test_dense_and_sparse_features_give_the_same_gradients(graph: Graph) -> None:
    torch.manual_seed(0)
    model = NodeGAT(num_features=5, num_classes=3, dropout=0.0)
    gradients = []
    for x in (graph.x, graph.x.to_dense()):
        model.zero_grad()
        model(graph._replace(x=x)).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None])
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-5)


def test_logits_are_those_of_the_requested_nodes(graph: Graph) -> None:
    model = NodeGAT(num_features=5, num_classes=3).eval()
    nodes = torch.tensor([7, 2, 2])
    torch.testing.assert_close(model(graph._replace(nodes=nodes)), model(graph)[nodes])


def test_the_receptive_field_is_as_many_edges_as_there_are_layers(graph: Graph) -> None:
    model = NodeGAT(num_features=5, num_classes=3).eval()
    near = torch.eye(12, dtype=torch.bool)
    near[graph.edge_index[0], graph.edge_index[1]] = True
    reached = (near.float() @ near.float()) > 0
    assert not reached.all()
    x = graph.x.to_dense().requires_grad_()
    for node in range(12):
        (gradient,) = torch.autograd.grad(model(graph._replace(x=x))[node].sum(), x)
        assert torch.equal(gradient.abs().sum(1) > 0, reached[node])


def test_attention_weights_are_dropped_in_training(graph: Graph) -> None:
    torch.manual_seed(0)
    layer = NodeGAT(num_features=5, num_classes=3, dropout=0.6).layers[0].train()
    assert not torch.equal(layer(graph.x, graph.edge_index), layer(graph.x, graph.edge_index))
    assert torch.equal(layer.eval()(graph.x, graph.edge_index), layer(graph.x, graph.edge_index))
