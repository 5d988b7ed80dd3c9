"""What a head is given, and its principal components."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

from datamodules.loading.node_batches import Graph
from lightning_modules.cnn import CNN
from lightning_modules.gat_nodes import NodeGAT
from lightning_modules.gcn import GCN
from lightning_modules.mlp import MLP
from lightning_modules.tasks.inspection.features import head_inputs, principal_components
from lightning_modules.tasks.inspection.filters import first_filters


def test_the_features_are_what_the_last_layer_multiplies() -> None:
    model = MLP(4, 3).eval()
    x = torch.randn(5, 4)
    features = head_inputs(model, x, model.head_names)
    assert features is not None
    last = model.network[-1]
    assert isinstance(last, nn.Linear)
    torch.testing.assert_close(last(features), model(x))
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_named_head_is_given_feature_maps() -> None:
    model = CNN(1, 8, 3).eval()
    images = torch.randn(5, 1, 8, 8)
    features = head_inputs(model, images, model.head_names)
    assert features is not None
    torch.testing.assert_close(model.head(features), model(images))


@pytest.mark.parametrize("kind", [GCN, NodeGAT])
def test_of_a_graph_there_are_the_features_of_the_requested_nodes(kind: type[GCN] | type[NodeGAT]) -> None:
    model = kind(6, 3).eval()
    x, nodes = torch.eye(6), torch.tensor([4, 1])
    edges = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 0, 3, 2, 5, 4]])
    adjacency = torch.eye(6).to_sparse_csr()

    def features(requested: torch.Tensor) -> torch.Tensor:
        found = head_inputs(model, Graph(x, edges, adjacency, requested), model.head_names)
        assert found is not None
        return found

    every = features(torch.arange(6))
    assert len(every) == 6
    torch.testing.assert_close(features(nodes), every[nodes])
    assert features(nodes).shape[1] > 3, "what is classified, and not the logits"


@pytest.mark.parametrize("shape", [(30, 7), (7, 30), (5, 5)])
def test_the_principal_components_are_those_of_scikit_learn(shape: tuple[int, int]) -> None:
    vectors = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * torch.arange(1, shape[1] + 1)
    before = torch.get_rng_state()
    points, fractions = principal_components(vectors, 3)
    assert torch.equal(before, torch.get_rng_state())
    pca = PCA(3)
    expected = pca.fit_transform(vectors.double().numpy())
    np.testing.assert_allclose(points.abs(), np.abs(expected), atol=1e-6)
    np.testing.assert_allclose(fractions, pca.explained_variance_ratio_, atol=1e-9)
    assert (points.gather(0, points.abs().argmax(0, keepdim=True)) > 0).all()


def test_vectors_that_are_all_alike_have_finite_components() -> None:
    points, fractions = principal_components(torch.ones(4, 3), 8)
    assert points.shape == (4, 3)
    assert points.isfinite().all()
    assert fractions.tolist() == [0, 0, 0]


def test_filters_are_grey_where_they_are_zero() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 3))
    weight = torch.zeros(2, 3, 3, 3)
    weight[0, 1, 1, 1], weight[0, 0, 0, 0] = 4, -2
    model[0].weight = nn.Parameter(weight)
    found = first_filters(model)
    assert found is not None
    assert found[0, 1, 1, 1] == 1
    assert found[0, 0, 0, 0] == 0.25
    assert (found[1] == 0.5).all()


def test_filters_that_cannot_be_seen_are_not_shown() -> None:
    assert first_filters(nn.Conv2d(5, 2, 3)) is None
    assert first_filters(nn.Conv2d(3, 2, 1)) is None
    assert first_filters(nn.Linear(3, 2)) is None
    many = first_filters(nn.Conv2d(1, 100, 3))
    assert many is not None
    assert len(many) == 64
