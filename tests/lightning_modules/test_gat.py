import pytest
import torch
from torch_geometric.nn import GATConv
from torch_geometric.utils import scatter

from datamodules.graphs import GraphClasses, Graphs
from lightning_modules.gat import GAT
from lightning_modules.layers.graph import GraphAttention, with_loops


@pytest.fixture(scope="module")
def batch() -> Graphs:
    data = GraphClasses(num_graphs=60, batch_size=8)
    data.setup()
    graphs, _ = data.split_examples("train")[torch.arange(7)]
    torch.manual_seed(0)
    return graphs._replace(edge_attr=torch.randn(graphs.edge_index.shape[1], 2))


def test_attention_weights_of_a_node_sum_to_one(batch):
    layer = GraphAttention(batch.x.shape[1], 4, num_heads=3, num_edge_features=2)
    edges, attributes = with_loops(batch.edge_index, batch.edge_attr, len(batch.x))
    h = layer.project(batch.x).view(len(batch.x), 3, -1)
    weights = layer.attention(h, edges, attributes)
    sums = scatter(weights, edges[1], dim=0, dim_size=len(batch.x), reduce="sum")
    torch.testing.assert_close(sums, torch.ones(len(batch.x), 3))


def test_equals_torch_geometric_after_copying_the_weights(batch):
    ours = GraphAttention(batch.x.shape[1], 4, num_heads=3)
    theirs = GATConv(batch.x.shape[1], 4, heads=3)
    with torch.no_grad():
        theirs.lin.weight.copy_(ours.project.weight)
        theirs.att_src.copy_(ours.of_source[None])
        theirs.att_dst.copy_(ours.of_target[None])
    torch.testing.assert_close(
        ours(batch.x, batch.edge_index, batch.edge_attr), theirs(batch.x, batch.edge_index), atol=1e-5, rtol=1e-5
    )


def test_edge_features_change_the_weights(batch):
    layer = GraphAttention(batch.x.shape[1], 4, num_heads=3, num_edge_features=2)
    before = layer(batch.x, batch.edge_index, batch.edge_attr)
    after = layer(batch.x, batch.edge_index, 2 * batch.edge_attr)
    assert not torch.allclose(before, after)


@pytest.mark.parametrize("pooling", ["mean", "max", "sum"])
def test_a_graph_is_judged_alike_alone_and_beside_others(batch, pooling):
    model = GAT(batch.x.shape[1], 2, num_edge_features=2, pooling=pooling).eval()
    together = model(batch)
    for number in range(batch.num_graphs):
        nodes = (batch.graph == number).nonzero().flatten()
        edges = batch.graph[batch.edge_index[0]] == number
        alone = Graphs(
            x=batch.x[nodes],
            edge_index=batch.edge_index[:, edges] - nodes[0],
            edge_attr=batch.edge_attr[edges],
            graph=torch.zeros(len(nodes), dtype=torch.long),
            num_graphs=1,
        )
        torch.testing.assert_close(model(alone)[0], together[number], atol=1e-5, rtol=1e-5)


def test_the_order_of_nodes_does_not_matter(batch):
    model = GAT(batch.x.shape[1], 2, num_edge_features=2).eval()
    order = torch.cat([torch.flip((batch.graph == n).nonzero().flatten(), (0,)) for n in range(batch.num_graphs)])
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    turned = batch._replace(x=batch.x[order], edge_index=place[batch.edge_index])
    torch.testing.assert_close(model(turned), model(batch), atol=1e-5, rtol=1e-5)
