import networkx as nx
import torch

from datamodules.baselines.weisfeiler_lehman import ROUNDS, WeisfeilerLehman
from datamodules.graphs import Graphs


def batch(graphs: list[nx.Graph], kinds: int = 1) -> Graphs:
    """The graphs side by side; a node's `kind` is its label."""
    whole = nx.disjoint_union_all(graphs)
    edges = torch.tensor([[a, b] for pair in whole.edges for a, b in (pair, pair[::-1])]).T
    labels = torch.tensor([whole.nodes[node].get("kind", 0) for node in whole])
    of = torch.repeat_interleave(torch.arange(len(graphs)), torch.tensor([len(each) for each in graphs]))
    x = torch.nn.functional.one_hot(labels, kinds).float()
    return Graphs(x, edges, torch.empty(edges.shape[1], 0), of, len(graphs))


def partition(colours: list[object]) -> set[frozenset[int]]:
    return {frozenset(node for node, each in enumerate(colours) if each == colour) for colour in set(colours)}


def test_the_colours_divide_the_nodes_as_networkx_does() -> None:
    graph = nx.gnm_random_graph(40, 55, seed=3)
    nx.set_node_attributes(graph, {node: node % 3 for node in graph}, "kind")
    theirs = nx.weisfeiler_lehman_subgraph_hashes(
        graph, node_attr="kind", iterations=ROUNDS, digest_size=16, include_initial_labels=True
    )
    found = list(WeisfeilerLehman(2, 3, 0, 0).colours(batch([graph], 3), torch.empty(0, 0)))
    assert len(found) == ROUNDS + 1
    for step, colours in enumerate(found):
        assert partition(colours.tolist()) == partition([theirs[node][step] for node in range(40)])


def test_one_hexagon_and_two_triangles_look_alike_to_it_and_a_path_does_not() -> None:
    baseline = WeisfeilerLehman(2, 0, 0, 0)
    hexagon, triangles = nx.cycle_graph(6), nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))
    one, two, path = (
        [sorted(colours.tolist()) for colours in baseline.colours(batch([graph]), torch.empty(0, 0))]
        for graph in (hexagon, triangles, nx.path_graph(6))
    )
    assert one == two
    assert one[0] == path[0]
    assert one[1] != path[1]


def test_labels_of_edges_count() -> None:
    graphs = batch([nx.path_graph(3)])
    marked = graphs._replace(edge_attr=torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]]))
    *_, plain = WeisfeilerLehman(2, 1, 0, 0).colours(marked, torch.empty(0, 0))
    *_, seen = WeisfeilerLehman(2, 1, 0, 2).colours(marked, torch.empty(0, 0))
    assert len(plain.unique()) == 2  # the middle, and both ends
    assert len(seen.unique()) == 3


def test_tells_rings_from_stars_whatever_the_order_of_the_nodes() -> None:
    graphs, labels = [], []
    for size in range(4, 24):
        for kind, graph in enumerate((nx.cycle_graph(size), nx.star_graph(size - 1))):
            order = torch.randperm(size, generator=torch.Generator().manual_seed(size)).tolist()
            graphs.append(nx.relabel_nodes(graph, dict(enumerate(order))))
            labels.append(kind)
    baseline = WeisfeilerLehman(2, 1, 0, 0)
    fitted = baseline.fit([(batch(graphs[:20]), torch.tensor(labels[:20]))])
    assert baseline.predictor(fitted)((batch(graphs[20:]), None)).argmax(1).tolist() == labels[20:]


def test_attributes_are_clustered_where_there_are_no_labels() -> None:
    random = torch.Generator().manual_seed(0)
    graphs = batch([nx.path_graph(4)] * 60)
    kinds = torch.tensor([0, 0, 1, 1] * 30 + [0, 1, 0, 1] * 30)  # alike but for who is beside whom
    noisy = graphs._replace(x=kinds[:, None] + 0.05 * torch.randn(240, 1, generator=random))
    target = torch.arange(60) // 30
    baseline = WeisfeilerLehman(2, 0, 1, 0)
    logits = baseline.predictor(baseline.fit([(noisy, target)]))((noisy, None))
    assert (logits.argmax(1) == target).float().mean() > 0.9
