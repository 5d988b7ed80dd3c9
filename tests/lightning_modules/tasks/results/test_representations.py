"""Principal components, against scikit-learn's."""

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import nn

from lightning_modules.tasks.results.representations import inputs_of, principal_components


def test_principal_components_are_those_of_scikit_learn() -> None:
    rows = torch.randn(60, 200, generator=torch.Generator().manual_seed(0)) * torch.linspace(3, 0.1, 200)
    before = torch.get_rng_state()
    found = principal_components(rows).numpy()
    assert torch.equal(before, torch.get_rng_state())
    expected = PCA(2, svd_solver="full").fit_transform(rows.double().numpy())
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-6)
    assert all(found[np.abs(found[:, axis]).argmax(), axis] > 0 for axis in range(2))


def test_equal_rows_and_a_single_one_are_in_the_middle() -> None:
    assert principal_components(torch.ones(5, 3)).abs().max() < 1e-6
    assert torch.equal(principal_components(torch.ones(1, 3)), torch.zeros(1, 2, dtype=torch.double))


def test_the_inputs_of_a_layer_are_what_the_layers_below_give() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    inputs = torch.randn(5, 3)
    found = inputs_of(model[2], model, inputs)
    assert found is not None
    torch.testing.assert_close(found, model[:2](inputs))
    assert inputs_of(nn.Linear(4, 2), model, inputs) is None, "it is none of the model's layers"
