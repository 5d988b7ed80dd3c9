import pytest
import torch
from torch_geometric.nn import GATConv
from torch_geometric.utils import scatter

from datamodules.graphs import GraphClasses, Graphs
from lightning_modules.gat import GAT, Pooling
from lightning_modules.layers.graph import GraphAttention, with_loops
from tests.helpers.splits import take


@pytest.fixture(scope="module")
def batch() -> Graphs:
    data = GraphClasses(num_graphs=60, batch_size=8)
    data.setup()
    graphs, _ = take(data, "train", torch.arange(7))
    torch.manual_seed(0)
    return graphs._replace(edge_attr=torch.randn(graphs.edge_index.shape[1], 2))


def test_attention_weights_of_a_node_sum_to_one(batch: Graphs) -> None:
    layer = GraphAttention(batch.x.shape[1], 4, num_heads=3, num_edge_features=2)
    edges, attributes = with_loops(batch.edge_index, batch.edge_attr, len(batch.x))
    h = layer.project(batch.x).view(len(batch.x), 3, -1)
    weights = layer.attention(h, edges, attributes)
    sums = scatter(weights, edges[1], dim=0, dim_size=len(batch.x), reduce="sum")
    torch.testing.assert_close(sums, torch.ones(len(batch.x), 3))


def test_equals_torch_geometric_after_copying_the_weights(batch: Graphs) -> None:
    ours = GraphAttention(batch.x.shape[1], 4, num_heads=3)
    theirs = GATConv(batch.x.shape[1], 4, heads=3)
    with torch.no_grad():
        theirs.lin.weight.copy_(ours.project.weight)
        theirs.att_src.copy_(ours.of_source[None])
        theirs.att_dst.copy_(ours.of_target[None])
    torch.testing.assert_close(
        ours(batch.x, batch.edge_index, batch.edge_attr), theirs(batch.x, batch.edge_index), atol=1e-5, rtol=1e-5
    )


def test_edge_features_change_the_weights(batch: Graphs) -> None:
    layer = GraphAttention(batch.x.shape[1], 4, num_heads=3, num_edge_features=2)
    before = layer(batch.x, batch.edge_index, batch.edge_attr)
    after = layer(batch.x, batch.edge_index, 2 * batch.edge_attr)
    assert not torch.allclose(before, after)


@pytest.mark.parametrize("pooling", ["mean", "max", "sum"])
def test_a_graph_gives_the_same_logits_alone_and_in_a_batch(batch: Graphs, pooling: Pooling) -> None:
    model = GAT(batch.x.shape[1], 2, num_edge_features=2, pooling=pooling).eval()
    together = model(batch)
    for index in range(batch.num_graphs):
        nodes = (batch.graph == index).nonzero().flatten()
        edges = batch.graph[batch.edge_index[0]] == index
        alone = Graphs(
            x=batch.x[nodes],
            edge_index=batch.edge_index[:, edges] - nodes[0],
            edge_attr=batch.edge_attr[edges],
            graph=torch.zeros(len(nodes), dtype=torch.long),
            num_graphs=1,
        )
        torch.testing.assert_close(model(alone)[0], together[index], atol=1e-5, rtol=1e-5)


def test_the_order_of_nodes_does_not_matter(batch: Graphs) -> None:
    model = GAT(batch.x.shape[1], 2, num_edge_features=2).eval()
    order = torch.cat([torch.flip((batch.graph == n).nonzero().flatten(), (0,)) for n in range(batch.num_graphs)])
    position = torch.empty_like(order)
    position[order] = torch.arange(len(order))
    permuted = batch._replace(x=batch.x[order], edge_index=position[batch.edge_index])
    torch.testing.assert_close(model(permuted), model(batch), atol=1e-5, rtol=1e-5)
