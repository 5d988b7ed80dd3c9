"""What a test of a model of graphs, or of a graph's nodes, shows."""

from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.checking.drawing import MAX_NODES, edges_between, neighbourhood
from datamodules.graphs import GraphClasses
from datamodules.nodes import Nodes
from lightning_modules.gat import GAT
from lightning_modules.gat_nodes import NodeGAT
from lightning_modules.gcn import GCN
from lightning_modules.layers.graph import GraphAttention
from lightning_modules.tasks.inspection.features import head_inputs
from lightning_modules.tasks.pictures.figure import style
from lightning_modules.tasks.results.outcomes import Outcomes
from tests.helpers.cut_off import cut_off
from tests.helpers.recorded_board import RecordedBoard


def of_data(model: type[Any], data: Any) -> Any:
    data.setup()
    names = ("num_features", "num_edge_features", "num_classes", "class_names")
    arguments = {name: getattr(data, name) for name in names if hasattr(data, name)}
    if model is not GAT:
        arguments.pop("num_edge_features", None)
    torch.manual_seed(0)
    return model(**arguments).eval()


def shown(model: Any, data: Any) -> tuple[dict[str, Any], Outcomes]:
    """The figures by name, and what they are of."""
    board = RecordedBoard()
    before = torch.get_rng_state()
    rows = torch.arange(len(data.splits.test))
    with style(), torch.no_grad():
        batch = data.split_examples("test")[rows]
        step = model.step(batch)
        model.tables = {"confusion": torch.eye(model.num_classes, dtype=torch.long)}
        outcomes = Outcomes(rows, model.results().kept(batch, step.prediction, step.target), data)
        model.show_results(board, outcomes)
    assert torch.equal(before, torch.get_rng_state())
    for figure in board.figures.values():
        assert not cut_off(figure)
    return board.figures, outcomes


def path_graph(folder: Path, size: int) -> str:
    """Files of a graph whose nodes are a path, with ids of users."""
    nodes = [f"用户{node},{node % 3},{'ab'[node % 2]}" for node in range(size)]
    edges = [f"用户{node},用户{node + 1}" for node in range(size - 1)]
    (folder / "nodes.csv").write_text("\n".join(["id,level,label", *nodes]) + "\n", encoding="utf-8")
    (folder / "edges.csv").write_text("\n".join(["source,target", *edges]) + "\n", encoding="utf-8")
    return str(folder)


def test_graphs_are_drawn_mistakes_first_with_the_models_attention() -> None:
    data = GraphClasses("motifs", num_graphs=100)
    model = of_data(GAT, data)
    figures, outcomes = shown(model, data)
    assert [*figures][-2:] == ["graphs", "before and after"]
    wrong = outcomes["prediction"] != outcomes["target"]
    worst = [row for row in outcomes.worst().tolist() if wrong[row]]
    names = outcomes.take(torch.tensor(worst[:4])).names()
    titles = [axes.get_title().split("\n") for axes in figures["graphs"].axes]
    assert [title[0] for title in titles[: len(names)]] == names
    assert all("predicted" in title[1] for title in titles[: len(names)])
    assert all("correct" in title[1] for title in titles[len(names) :] if title[0])
    assert "attention" in figures["graphs"].get_suptitle()


def test_the_weights_of_edges_are_the_mean_attention_of_all_heads_and_layers() -> None:
    data = GraphClasses("motifs", num_graphs=40, batch_size=8)
    model = of_data(GAT, data)
    graphs, _ = data.split_examples("test")[torch.arange(3)]
    found = model.attention_of_edges(graphs)
    layers = [layer for layer in model.modules() if isinstance(layer, GraphAttention)]
    assert found.shape == (graphs.edge_index.shape[1],)
    assert all(layer.recorded is None for layer in layers)
    # A node's attention to its neighbours and to itself sums to one, so that to its neighbours is less.
    incoming = torch.zeros(len(graphs.x)).index_add(0, graphs.edge_index[1], found)
    assert ((incoming > 0) & (incoming < 1)).all()
    with torch.no_grad():
        for layer in layers:
            layer.of_source.zero_()
            layer.of_target.zero_()
    degrees = torch.bincount(graphs.edge_index[1]) + 1
    torch.testing.assert_close(model.attention_of_edges(graphs), 1 / degrees[graphs.edge_index[1]].float())


def test_a_small_graph_of_nodes_is_drawn_once_and_its_mistakes_have_rings(tmp_path: Path) -> None:
    data = Nodes(path_graph(tmp_path, 40))
    model = of_data(NodeGAT, data)
    figures, outcomes = shown(model, data)
    (axes,) = figures["graphs"].axes
    assert {text.get_text() for text in axes.texts} == {f"用户{node}" for node in range(40)}
    rings = [bool(width > 1) for width in axes.collections[1].get_linewidths()]
    wrong = (outcomes["prediction"] != outcomes["target"]).nonzero()[:, 0]
    assert [node for node, ring in enumerate(rings) if ring] == sorted(data.splits.test[wrong].tolist())


@pytest.mark.parametrize("model", [NodeGAT, GCN])
def test_of_a_large_graph_two_steps_around_some_nodes_are_drawn(model: type[Any], tmp_path: Path) -> None:
    data = Nodes(path_graph(tmp_path, 100))
    figures, _ = shown(of_data(model, data), data)
    for axes in figures["graphs"].axes:
        if axes.get_title():
            assert axes.get_title().startswith("用户")
            assert 3 <= len(axes.collections[1].get_offsets()) <= 5
    assert ("attention" in figures["graphs"].get_suptitle()) == (model is NodeGAT)


def test_nodes_are_named_by_the_ids_of_their_files(tmp_path: Path) -> None:
    data = Nodes(path_graph(tmp_path, 30))
    data.setup()
    assert data.origins(torch.tensor([0, 29])) == ["用户0", "用户29"]
    embedded = Nodes("karate")
    embedded.setup()
    assert embedded.origin(0) == "node 1"


@pytest.mark.parametrize("model", [NodeGAT, GCN])
def test_the_inputs_of_the_last_layer_are_those_of_the_nodes_to_classify(model: type[Any]) -> None:
    data = Nodes("karate")
    made = of_data(model, data)
    graph, _ = data.split_examples("test")[torch.arange(5)]
    with torch.no_grad():
        hidden = head_inputs(made, graph, made.head_names)
    assert hidden is not None
    assert len(hidden) == len(graph.nodes)
    assert torch.equal(graph.features(), graph.x.to_dense()[graph.nodes])


def test_the_features_of_a_graph_are_the_mean_of_its_nodes() -> None:
    data = GraphClasses("motifs", num_graphs=40, batch_size=8)
    data.setup()
    graphs, _ = data.split_examples("test")[torch.arange(3)]
    for index in range(3):
        torch.testing.assert_close(graphs.features()[index], graphs.x[graphs.graph == index].mean(0))


def test_a_neighbourhood_has_the_nearest_nodes_and_at_most_so_many() -> None:
    star = torch.tensor([[0] * 200, [*range(1, 201)]])
    edges = torch.cat([star, star.flip(0), torch.tensor([[200, 201], [201, 200]])], dim=1)
    assert len(neighbourhood(0, edges, 202)) == MAX_NODES
    assert neighbourhood(201, edges, 202, hops=1).tolist() == [200, 201]
    inside = neighbourhood(201, edges, 202)
    assert inside.tolist() == [0, 200, 201]
    rows, between = edges_between(inside, edges)
    assert torch.equal(inside[between], edges[:, rows])
    assert between.shape[1] == 4


@pytest.mark.parametrize("model", [GAT, NodeGAT, GCN])
def test_a_model_that_gives_no_numbers_is_drawn_all_the_same(model: type[Any]) -> None:
    data = GraphClasses("motifs", num_graphs=40, batch_size=8) if model is GAT else Nodes("karate")
    made = of_data(model, data)
    with torch.no_grad():
        for weight in made.parameters():
            weight.fill_(torch.nan)
    figures, _ = shown(made, data)
    assert [*figures][-1:] == ["graphs"]
