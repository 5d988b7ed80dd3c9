"""Models of nodes whose neighbours are sampled, or read in blocks or clusters: where all are read, nothing changes."""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule

from datamodules.errors import DataError
from datamodules.loading import clusters
from datamodules.loading.adjacency import normalised_adjacency, undirected
from datamodules.loading.clusters import clusters_of
from datamodules.loading.neighbourhoods import Neighbourhoods
from datamodules.loading.node_batches import Graph, Seeds, complete
from datamodules.loading.sampling import Batches
from datamodules.nodes import Nodes
from lightning_modules.gat_nodes import NodeGAT
from lightning_modules.gcn import GCN
from lightning_modules.layers import graph as blocks
from scripts.cli.command_line.recipes import resolve
from scripts.cli.run.experiment import Experiment

MODELS = [GCN, NodeGAT]


def written(folder: Path, size: int = 200, features: bool = True) -> Path:
    """Files of a graph with hubs."""
    draw = np.random.default_rng(0)
    rows = [f"{n},{n * 7 % 13}.5,{n % 5},{'abc'[n % 3]}" if features else f"{n},{'abc'[n % 3]}" for n in range(size)]
    (folder / "nodes.csv").write_text("\n".join(["id,x,y,label" if features else "id,label", *rows]) + "\n")
    edges = np.stack([(size * draw.random(3 * size) ** 3).astype(int), draw.integers(0, size, 3 * size)], 1)
    (folder / "edges.csv").write_text("\n".join(["from,to", *(f"{a},{b}" for a, b in edges)]) + "\n")
    return folder


def ready(folder: Path, **options: Any) -> Nodes:
    data = Nodes(str(folder), **options)
    data.setup()
    return data


def moved(data: Nodes, batch: Any) -> tuple[Graph, torch.Tensor]:
    found: tuple[Graph, torch.Tensor] = data.transfer_batch_to_device(batch, torch.device("cpu"), 0)
    return found


def gradients(model: LightningModule, batch: Any) -> list[torch.Tensor]:
    model.zero_grad()
    model.step(batch).loss.backward()  # type: ignore[operator]
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("model_class", MODELS)
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("features", [True, False])
def test_with_all_neighbours_logits_and_gradients_are_those_of_the_whole_graph(
    model_class: Any, num_layers: int, features: bool, tmp_path: Path
) -> None:
    folder = written(tmp_path, features=features)
    whole, part = ready(folder), ready(folder, num_neighbors=[-1] * num_layers, batch_size=16)
    torch.manual_seed(0)
    model = model_class(num_features=whole.num_features, num_classes=3, num_layers=num_layers, dropout=0.0)
    nodes = torch.tensor([3, 11, 3, 40])
    for split in ("train", "test"):
        expected = moved(whole, whole.split_examples(split)[nodes[:3]])
        found = moved(part, part.split_examples(split)[nodes[:3]])
        assert found[0].ids is not None
        assert torch.equal(found[1], expected[1])
        torch.testing.assert_close(model(found[0]), model(expected[0]), atol=1e-5, rtol=1e-4)
        for one, other in zip(gradients(model, found), gradients(model, expected), strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("model_class", MODELS)
def test_a_model_is_evaluated_as_on_the_whole_graph_whatever_is_sampled_in_training(
    model_class: Any, tmp_path: Path
) -> None:
    folder = written(tmp_path)
    whole, part = ready(folder), ready(folder, num_neighbors=[2, 1], batch_size=16)
    model = model_class(num_features=2, num_classes=3).eval()
    for name in ("val_dataloader", "test_dataloader"):
        (expected,), (found,) = ([moved(data, batch) for batch in getattr(data, name)()] for data in (whole, part))
        assert torch.equal(found[1], expected[1])
        torch.testing.assert_close(model(found[0]), model(expected[0]), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(model.step(found).loss, model.step(expected).loss)
    for data in (whole, part):
        data.set_input(folder)
    (expected,), (found,) = (list(data.predict_dataloader()) for data in (whole, part))
    torch.testing.assert_close(model(found.graph()), model(expected), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("model_class", MODELS)
@pytest.mark.parametrize("features", [True, False])
def test_with_one_cluster_logits_and_gradients_are_those_of_the_whole_graph(
    model_class: Any, features: bool, tmp_path: Path
) -> None:
    folder = written(tmp_path, features=features)
    whole, part = ready(folder), ready(folder, num_clusters=1, batch_size=16)
    torch.manual_seed(0)
    model = model_class(num_features=whole.num_features, num_classes=3, dropout=0.0)
    nodes = torch.tensor([3, 11, 40])
    for split in ("train", "val", "test"):
        expected = moved(whole, whole.split_examples(split)[nodes % 20])
        found = moved(part, part.split_examples(split)[nodes % 20])
        torch.testing.assert_close(model(found[0]), model(expected[0]), atol=1e-5, rtol=1e-4)
        for one, other in zip(gradients(model, found), gradients(model, expected), strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_a_training_batch_is_of_few_clusters_which_are_whole_graphs_of_their_own(tmp_path: Path) -> None:
    data = ready(written(tmp_path), num_clusters=10, batch_size=28)
    assert data.clusters is not None
    assert not data.full_batch
    sizes = data.clusters.bincount()
    assert len(sizes) == 10
    assert sizes.min() >= 10  # of 20
    seen = []
    for batch in data.train_dataloader():
        graph, target = moved(data, batch)
        assert graph.ids is not None
        assert torch.equal(target, data.labels[graph.requested])
        read = data.clusters[graph.ids].unique()
        assert torch.equal(read, data.clusters[graph.requested].unique())
        assert len(read) <= 4  # two whole ones, and parts of others
        assert len(graph.ids) == sizes[read].sum()
        both = data.whole.edge_index
        inside = torch.isin(both, graph.ids).all(0)
        edges = graph.ids[graph.edge_index]
        assert sorted(edges.T.tolist()) == sorted(both[:, inside].T.tolist())
        expected = normalised_adjacency(graph.edge_index, len(graph.ids)).to_dense()
        torch.testing.assert_close(graph.adjacency.to_dense(), expected)
        seen.append(graph.requested)
    assert torch.cat(seen).unique().numel() == 28 * len(seen)


def test_the_clusters_of_a_batch_are_others_in_each_epoch(tmp_path: Path) -> None:
    loader = ready(written(tmp_path), num_clusters=10, batch_size=28).train_dataloader()
    first, second = (torch.cat([batch[0].requested for batch in loader]) for _ in range(2))
    assert not torch.equal(first, second)


def test_processes_have_different_clusters(tmp_path: Path) -> None:
    clusters = torch.arange(12).repeat_interleave(5)
    shards = [
        Batches(60, batch_size=20, shuffle=True, clusters=clusters, rank=rank, world_size=2).shards() for rank in (0, 1)
    ]
    assert torch.cat([torch.cat(part) for part in shards]).unique().numel() == 60
    for one, other in zip(*shards, strict=True):
        assert len(one) == len(other) == 10
        assert not torch.isin(clusters[one], clusters[other]).any()


def test_clusters_have_fewer_edges_between_them_than_nodes_taken_at_random(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(0)
    group = draw.permutation(np.arange(1000) % 10)
    pairs = draw.integers(0, 1000, (40_000, 2))
    pairs = pairs[(group[pairs[:, 0]] == group[pairs[:, 1]]) | (draw.random(len(pairs)) < 0.02)]
    adjacency = undirected(pairs, 1000)
    cluster = clusters_of(adjacency, 10)
    assert not capsys.readouterr().err
    monkeypatch.setattr(clusters, "TOLD", 1000)
    assert torch.equal(cluster, clusters_of(adjacency, 10))
    rows, columns = adjacency.nonzero()
    cut = (cluster[rows] != cluster[columns]).float().mean()
    edges = adjacency.nnz // 2
    assert capsys.readouterr().err == f"dividing 1,000 nodes, {edges:,} edges, into 10 clusters\n"
    assert cut < 0.2  # the groups', which are found again; at random, 0.9


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("num_edge_features", [0, 2])
def test_attention_in_blocks_is_attention_at_once(
    average: bool, num_edge_features: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    layer = blocks.GraphAttention(5, 3, 4, num_edge_features, average=average).eval()
    torch.nn.init.normal_(layer.bias)
    x, edges = 4 * torch.randn(30, 5), torch.randint(0, 30, (2, 200))
    attr = torch.randn(200, num_edge_features) if num_edge_features else None
    with torch.no_grad():
        expected = layer(x, edges, attr)
        monkeypatch.setattr(layer, "propagate", None)  # at once is not what is tested now
        monkeypatch.setattr(blocks, "BLOCK", 12 * 17)
        torch.testing.assert_close(layer(x, edges, attr), expected, atol=1e-5, rtol=1e-5)


def test_messages_in_evaluation_take_no_more_memory_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hundred thousand edges all messages would be 26 MB."""
    monkeypatch.setattr(blocks, "BLOCK", 2**14)
    layer, edges = blocks.GraphAttention(4, 8, 8).eval(), torch.randint(0, 100, (2, 100_000))
    with (
        torch.no_grad(),
        torch.profiler.profile(profile_memory=True, activities=[torch.profiler.ProfilerActivity.CPU]) as profile,
    ):
        layer(torch.randn(100, 4), edges)
    largest = max(event.cpu_memory_usage for event in profile.events())
    assert largest < 8e6  # of the edges and their loops, 1.6 MB, and blocks


def test_a_training_batch_has_no_more_than_the_sampled_neighbours(tmp_path: Path) -> None:
    data = ready(written(tmp_path), num_neighbors=[3, 2], batch_size=8)
    assert not data.full_batch
    batches = [moved(data, batch) for batch in data.train_dataloader()]
    assert len(batches) == data.num_batches("train") == len(data.splits.train) // 8
    for graph, target in batches:
        assert graph.edge_index.shape[1] <= 8 * 3 + 8 * 3 * 2
        assert torch.equal(target, data.labels[graph.requested])
        assert torch.isin(graph.requested, data.splits.train).all()
        assert torch.equal(graph.x, data.whole.x[graph.ids])


def test_a_batch_is_small_until_it_is_needed(tmp_path: Path) -> None:
    data = ready(written(tmp_path), num_neighbors=[3, 2], batch_size=8)
    seeds, _ = next(iter(data.train_dataloader()))
    assert isinstance(seeds, Seeds)
    assert list(seeds.num_neighbors or []) == [3, 2]
    assert data.split_examples("val")[torch.arange(1)][0].num_neighbors == (-1, -1)


def test_baselines_and_pictures_are_those_of_the_whole_graph(tmp_path: Path) -> None:
    folder = written(tmp_path)
    whole, part = ready(folder), ready(folder, num_neighbors=[4, 4], batch_size=8)
    logits = []
    for data in (whole, part):
        baseline = data.baselines()["propagation"]
        fitted = baseline.fit([data.split_examples("train")[torch.arange(50)]])
        logits.append(baseline.predictor(fitted)(moved(data, data.split_examples("test")[torch.arange(5)])))
    assert torch.equal(*logits)
    graph, _ = moved(part, part.split_examples("test")[torch.tensor([4])])
    drawing = part.drawings(graph, [0])[0]
    assert graph.ids is not None
    ids = graph.ids[drawing.nodes]
    assert drawing.node_names == [part.node_names[node] for node in ids.tolist()]
    assert torch.equal(drawing.kinds, part.labels[ids])
    torch.testing.assert_close(graph.features(), part.whole.x[graph.requested])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_neighbors": []}, ["--data.num_neighbors", "from 1", "got no number"]),
        ({"num_neighbors": [5, 0]}, ["--data.num_neighbors", "-1 for all", "got 0"]),
        ({"num_neighbors": [-2]}, ["got -2"]),
        ({"num_clusters": 0, "batch_size": 4}, ["--data.num_clusters", "at least 1", "got 0"]),
        ({"num_clusters": 4}, ["--data.num_clusters 4", "give --data.batch_size"]),
        ({"num_clusters": 4, "num_neighbors": [5], "batch_size": 4}, ["--data.num_clusters 4", "contradict"]),
        ({"num_neighbors": [5], "edge_dropout": 0.5}, ["--data.edge_dropout 0.5 and --data.num_neighbors contradict"]),
    ],
)
def test_numbers_that_are_none_are_refused(options: Any, words: list[str]) -> None:
    with pytest.raises(ValueError, match=".*".join(map(re.escape, words))):
        Nodes("karate", **options)


def test_more_clusters_than_nodes_are_refused(tmp_path: Path) -> None:
    data = ready(written(tmp_path), num_clusters=201, batch_size=8)
    with pytest.raises(DataError, match=r"--data.num_clusters 201: the graph has 200 nodes"):
        data.train_dataloader()


def test_without_the_package_that_divides_graphs_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datamodules.loading.clusters.find_spec", lambda name: None)
    data = ready(written(tmp_path), num_clusters=4, batch_size=8)
    with pytest.raises(DataError, match=r"pip install -e .*clusters"):
        data.train_dataloader()


def test_the_whole_graph_is_that_of_its_matrix_and_in_memory_once(tmp_path: Path) -> None:
    data = ready(written(tmp_path), num_clusters=5, batch_size=16)
    source = data.split_examples("test").graph
    assert isinstance(source, Seeds)
    first, second = (
        source._replace(nodes=torch.tensor([3, 1])).graph(),
        source._replace(nodes=torch.tensor([2])).graph(),
    )
    assert first.edge_index is second.edge_index
    assert first.adjacency is second.adjacency
    assert first.requested.tolist() == [3, 1]
    expected = complete(first.x, data.network.adjacency)
    assert sorted(first.edge_index.T.tolist()) == sorted(expected.edge_index.T.tolist())
    torch.testing.assert_close(first.adjacency.to_dense(), expected.adjacency.to_dense())
    other: Neighbourhoods = pickle.loads(pickle.dumps(source.source))  # as a worker gets it
    assert torch.equal(other.around_all(first.nodes).edge_index, first.edge_index)
    (edges, _) = source.source._whole
    assert edges() is first.edge_index
    del first, second
    assert edges() is None, "nobody needs it any longer"
    assert len(source._replace(nodes=torch.tensor([0])).graph().edge_index[0]) == data.network.adjacency.nnz


def test_pictures_of_a_test_read_a_large_graph_a_few_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    around_all = Neighbourhoods.around_all

    def counted(self: Neighbourhoods, nodes: torch.Tensor) -> Any:
        read.append(len(nodes))
        return around_all(self, nodes)

    monkeypatch.setattr(Neighbourhoods, "around_all", counted)
    words = ["--model", "gcn", "--data", str(written(tmp_path)), "--data.num_clusters", "5"]
    words += ["--data.batch_size", "4", "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]
    Experiment(resolve([*words, "--logs", str(tmp_path / "logs")])).fit()
    assert len(read) < 8, "not each few nodes the whole graph"
