from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from datamodules.augmentation.graphs import kept_edges, without_features
from datamodules.graphs import GraphClasses
from datamodules.loading.adjacency import undirected
from datamodules.nodes import Nodes


def pairs_of(edge_index: Tensor) -> set[tuple[int, int]]:
    return {(first, second) for first, second in edge_index.T.tolist()}


def network(size: int = 40, seed: int = 0) -> Any:
    return undirected(np.random.default_rng(seed).integers(0, size, (150, 2)), size)


def edges_of(adjacency: Any) -> Tensor:
    return torch.from_numpy(np.stack(adjacency.nonzero()).astype(np.int64))


def test_an_edge_goes_in_both_directions_or_in_neither() -> None:
    edge_index = edges_of(network())
    edge_index = edge_index[:, torch.randperm(edge_index.shape[1])]
    seen: set[tuple[int, int]] = set()
    shares = []
    for seed in range(60):
        torch.manual_seed(seed)
        kept = kept_edges(edge_index, 40, 0.3)
        left = pairs_of(edge_index[:, kept])
        assert left == {(second, first) for first, second in left}
        shares.append(float(kept.float().mean()))
        seen |= pairs_of(edge_index[:, ~kept])
    assert np.mean(shares) == pytest.approx(0.7, abs=0.02)
    assert 0.02 < np.std(shares) < 0.08  # as of edges that each have a chance of their own
    assert seen == pairs_of(edge_index)


def test_an_edge_that_has_one_direction_or_stands_twice_goes_as_one() -> None:
    edge_index = torch.tensor([[0, 0, 3, 1], [1, 1, 2, 0]])
    for seed in range(20):
        torch.manual_seed(seed)
        kept = kept_edges(edge_index, 4, 0.5)
        assert kept[0] == kept[1] == kept[3]
    assert kept_edges(torch.empty(2, 0, dtype=torch.long), 4, 0.5).shape == (0,)


def test_a_feature_goes_for_all_nodes_and_the_others_stay_as_they_are() -> None:
    dense = torch.rand(30, 400) + 1
    dense[torch.rand(30, 400) < 0.5] = 0
    torch.manual_seed(0)
    found = without_features(dense, 0.25)
    gone = (found == 0).all(0)
    assert float(gone.float().mean()) == pytest.approx(0.25, abs=0.05)
    assert torch.equal(found[:, ~gone], dense[:, ~gone])
    torch.manual_seed(0)
    assert torch.equal(without_features(dense.to_sparse_csr(), 0.25).to_dense(), found)


OPTIONS = [{}, {"edge_dropout": 0.3}, {"feature_masking": 0.3}, {"edge_dropout": 0.3, "feature_masking": 0.3}]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", OPTIONS)
def test_a_network_loses_edges_and_features_in_training_only(options: dict[str, float], training: bool) -> None:
    data = Nodes(**options)  # type: ignore[arg-type]
    data.setup()
    graph, target = data.examples(data.splits.train)[torch.arange(4)]
    data.trainer = SimpleNamespace(training=training)  # type: ignore[assignment]
    torch.manual_seed(0)
    found, kept = data.on_after_batch_transfer((graph, target), 0)
    assert kept is target
    assert found.nodes is graph.nodes
    fewer = found.edge_index.shape[1] < graph.edge_index.shape[1]
    assert fewer == (training and "edge_dropout" in options)
    assert torch.equal(found.x.to_dense(), graph.x.to_dense()) != (training and "feature_masking" in options)
    dense = torch.zeros(34, 34)
    dense[found.edge_index[0], found.edge_index[1]] = 1
    assert torch.equal(dense, dense.T)
    looped = dense + torch.eye(34)
    scale = looped.sum(1).rsqrt()
    torch.testing.assert_close(found.adjacency.to_dense(), scale[:, None] * looped * scale)
    assert (found.adjacency is graph.adjacency) != fewer


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", OPTIONS)
def test_graphs_lose_edges_and_features_in_training_only(options: dict[str, float], training: bool) -> None:
    data = GraphClasses("motifs", num_graphs=200, **options)  # type: ignore[arg-type]
    data.setup()
    graphs, target = data.examples(data.splits.train)[torch.arange(20)]
    number = torch.arange(graphs.edge_index.shape[1], dtype=torch.float)[:, None]
    graphs = graphs._replace(edge_attr=number)  # each edge's features say which it was
    data.trainer = SimpleNamespace(training=training)  # type: ignore[assignment]
    torch.manual_seed(0)
    found, kept = data.on_after_batch_transfer((graphs, target), 0)
    assert kept is target
    assert found.graph is graphs.graph
    assert (found.edge_index.shape[1] < len(number)) == (training and "edge_dropout" in options)
    assert torch.equal(found.edge_index, graphs.edge_index[:, found.edge_attr[:, 0].long()])
    left = pairs_of(found.edge_index)
    assert left == {(second, first) for first, second in left}
    assert torch.equal(found.x, graphs.x) != (training and "feature_masking" in options)


@pytest.mark.parametrize("option", ["edge_dropout", "feature_masking"])
@pytest.mark.parametrize("kind", [Nodes, GraphClasses])
@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_chances_out_of_range_are_refused(option: str, kind: Any, value: float, refused: Any) -> None:
    with refused(f"--data.{option}", f"got {value}"):
        kind(**{option: value})
