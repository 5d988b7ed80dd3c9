from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision import models

from datamodules.images import Images
from lightning_modules.resnet import ResNet
from lightning_modules.tasks.pretrained_features import pretrained_features


def test_they_are_those_of_the_network_before_training(tmp_path: Path) -> None:
    theirs: Any = models.resnet18(num_classes=7)
    torch.save(theirs.state_dict(), tmp_path / "weights.pt")
    model = ResNet(in_channels=3, image_size=64, num_classes=2, stride=32, pretrained=str(tmp_path / "weights.pt"))
    for parameter in model.parameters():
        nn.init.zeros_(parameter)  # as training may have done
    images = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    before = torch.get_rng_state()
    features = pretrained_features(model)
    assert features is not None
    found = features(images)
    assert torch.equal(torch.get_rng_state(), before)
    theirs.fc = nn.Identity()
    with torch.no_grad():
        torch.testing.assert_close(found, theirs.eval()(images))


def test_a_network_of_fresh_weights_has_none() -> None:
    data = Images("digits")
    data.setup()
    model = ResNet(in_channels=1, image_size=8, num_classes=10)
    assert pretrained_features(model) is None
    assert model.learnable(data).keys() == {"class_mean"}


def test_the_nearest_mean_is_taken_on_them_too(tmp_path: Path) -> None:
    torch.save(models.resnet18().state_dict(), tmp_path / "weights.pt")
    data = Images("digits")
    data.setup()
    model = ResNet(in_channels=1, image_size=8, num_classes=10, stride=16, pretrained=str(tmp_path / "weights.pt"))
    assert {name: each.transfers for name, each in model.learnable(data).items()} == {
        "class_mean": True,
        "pretrained_class_mean": False,
    }
