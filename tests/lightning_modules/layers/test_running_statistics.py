"""In the first steps batch norms' running statistics follow the network sooner, and nothing else changes."""

from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from datamodules.images import Images
from lightning_modules.layers.running_statistics import StatisticsWarmup
from lightning_modules.resnet import ResNet

SGD: Any = partial(torch.optim.SGD, lr=0.1)


def forward(network: nn.Module, warmup: StatisticsWarmup, images: Tensor, step: int) -> None:
    warmup.keep(step)
    network(images).square().mean().backward()
    warmup.follow()


@pytest.mark.parametrize("momentum", [0.1, 0.5])
def test_the_weight_of_a_batch_falls_to_the_momentum(momentum: float) -> None:
    norm = nn.BatchNorm2d(3, momentum=momentum)
    warmup = StatisticsWarmup(norm)
    mean, variance = torch.zeros(3), torch.ones(3)
    for step in range(100):
        images = 5 + 2 * torch.randn(4, 3, 2, 2)
        forward(norm, warmup, images, step)
        weight = max(9 / (10 + step), momentum)
        mean = mean.lerp(images.mean((0, 2, 3)), weight)
        variance = variance.lerp(images.var((0, 2, 3)), weight)
        torch.testing.assert_close(norm.running_mean, mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(norm.running_var, variance, rtol=1e-4, atol=1e-5)


def test_frozen_batch_norms_and_plain_means_stay_as_they_are() -> None:
    frozen, plain = nn.BatchNorm2d(3).eval(), nn.BatchNorm2d(3, momentum=None)
    untracked = nn.BatchNorm2d(3, track_running_stats=False)
    images = torch.randn(4, 3, 2, 2)
    network = nn.Sequential(frozen, plain, untracked)
    warmup = StatisticsWarmup(network)
    expected = nn.BatchNorm2d(3, momentum=None)
    for step in range(3):
        forward(network, warmup, images + step, step)
        expected((images + step) / (1 + frozen.eps) ** 0.5)
    assert frozen.running_mean is not None
    assert not frozen.running_mean.any()
    torch.testing.assert_close(plain.running_mean, expected.running_mean)
    torch.testing.assert_close(plain.running_var, expected.running_var)


def trained(warmup: bool) -> dict[str, Tensor]:
    torch.manual_seed(0)
    data = Images(batch_size=16)
    quiet: Any = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(accelerator="cpu", max_steps=3, limit_val_batches=0, **quiet)
    data.prepare_data()
    data.setup("fit")
    model = ResNet(in_channels=1, image_size=8, num_classes=10, stride=16, norm_warmup=warmup, optimizer=SGD)
    trainer.fit(model, datamodule=data)
    return model.state_dict()


def test_a_resnets_weights_do_not_depend_on_it() -> None:
    without, warm = trained(False), trained(True)
    for name, value in warm.items():
        assert torch.equal(value, without[name]) != ("running" in name), name
