"""Grad-CAM of networks for which it is known."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_modules.capsnet import CapsNet
from lightning_modules.cnn import CNN
from lightning_modules.efficientnet import EfficientNet
from lightning_modules.inception import Inception
from lightning_modules.mlp import MLP
from lightning_modules.resnet import ResNet
from lightning_modules.tasks.inspection.grad_cam import OPACITY, RED, grad_cam, last_feature_map, overlaid


class Linear(nn.Module):
    """A convolution, the mean over its cells, and a linear layer: the gradient of each cell is known."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1)
        self.act = nn.ReLU(inplace) if inplace else nn.Identity()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(3, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.pool(self.act(self.conv(images))).flatten(1))


def test_of_a_linear_network_it_is_the_weighted_sum_of_the_maps() -> None:
    torch.manual_seed(0)
    model, images = Linear(inplace=False), torch.randn(2, 1, 6, 5)
    module = last_feature_map(model, images, ("head",))
    assert module is model.act
    with torch.no_grad():
        found = grad_cam(module, lambda: model(images)[:, 2])
        expected = torch.einsum("k,bkhw->bhw", model.head.weight[2] / 30, model.conv(images)).relu()
    torch.testing.assert_close(found, expected)
    assert expected.max() > 0


def test_an_activation_that_overwrites_the_map_changes_neither_it_nor_the_parameters() -> None:
    torch.manual_seed(0)
    model, images = Linear(inplace=True), torch.randn(2, 1, 6, 5)
    with torch.no_grad():
        found = grad_cam(model.conv, lambda: model(images)[:, 1])
        maps = model.conv(images)
        gradient = (maps > 0) * model.head.weight[1].view(1, 3, 1, 1) / 30
        expected = (gradient.mean((2, 3), keepdim=True) * maps).sum(1).relu()
    torch.testing.assert_close(found, expected)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.conv._forward_hooks
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("kind", [CNN, ResNet, Inception, EfficientNet, CapsNet])
@pytest.mark.parametrize("size", [8, 28])
def test_each_network_of_images_has_a_map(kind: Any, size: int) -> None:
    torch.manual_seed(0)
    model, images = kind(1, size, 3).eval(), torch.randn(2, 1, size, size)
    before = torch.get_rng_state()
    with torch.no_grad():
        module = last_feature_map(model, images, model.head_names)
        assert module is not None
        found = grad_cam(module, lambda: model(images)[:, 1])
    assert found.shape[0] == 2
    assert min(found.shape[1:]) > 1
    assert found.isfinite().all()
    assert found.min() >= 0
    assert torch.equal(before, torch.get_rng_state())


def test_a_network_without_feature_maps_has_none() -> None:
    assert last_feature_map(MLP(4, 3), torch.randn(2, 4), ("head",)) is None


def test_what_speaks_most_for_the_score_is_red_and_the_rest_stays_grey() -> None:
    images = torch.full((2, 3, 4, 4), 0.5)
    maps = torch.zeros(2, 2, 2)
    maps[0, 0, 0] = 7
    found = overlaid(images, maps)
    torch.testing.assert_close(found[1], images[1])
    expected = (1 - OPACITY) * 0.5 + OPACITY * torch.tensor(RED)
    torch.testing.assert_close(found[0, :, 0, 0], expected)
    torch.testing.assert_close(found[0, :, 3, 3], images[0, :, 0, 0])
