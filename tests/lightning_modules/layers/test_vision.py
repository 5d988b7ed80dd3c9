"""How the networks of torchvision are adapted, and what stays the same."""

import pickle
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn
from torchvision import models

from lightning_modules.efficientnet import EfficientNet
from lightning_modules.inception import Inception
from lightning_modules.layers.vision import CroppedConv2d, crop_to_small_maps, fitting_stride, for_channels
from lightning_modules.resnet import ResNet
from tests.helpers.fuzzing import Leaves

NETWORKS: dict[str, tuple[Any, dict[str, Any]]] = {
    "resnet18": (ResNet, {"depth": 18}),
    "resnet50": (ResNet, {"depth": 50}),
    "efficientnet_b0": (EfficientNet, {"architecture": "b0"}),
    "efficientnet_v2_s": (EfficientNet, {"architecture": "v2_s"}),
    "googlenet": (Inception, {"architecture": "googlenet"}),
    "inception_v3": (Inception, {"architecture": "inception_v3"}),
}
QUICK = ["resnet18", "efficientnet_b0", "googlenet"]


def ours(name: str, size: int = 8, channels: int = 1, classes: int = 4, **options: Any) -> Any:
    torch.manual_seed(0)
    cls, settings = NETWORKS[name]
    return cls(in_channels=channels, image_size=size, num_classes=classes, **settings, **options).eval()


def reference(name: str, classes: int = 4) -> Any:
    further = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return models.get_model(name, num_classes=classes, **further).eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_is_torchvisions_own_network_where_images_are_large(name: str) -> None:
    model, expected = ours(name, size=128, channels=3), reference(name)
    expected.load_state_dict(model.network.state_dict())
    images = torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        torch.testing.assert_close(model(images), expected(images), rtol=0, atol=0)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 28)])
def test_fits_small_images_and_gives_one_tensor(name: str, channels: int, size: Any) -> None:
    model = ours(name, size, channels)
    with torch.no_grad():
        assert model(torch.randn(2, channels, size, size)).shape == (2, 4)
        assert model(torch.randn(2, channels, size, size - 3)).shape == (2, 4)


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_has_the_requested_stride(name: str, stride: int) -> None:
    model = ours(name, 64, stride=stride)
    sides: list[int] = []
    last = {"resnet18": "layer4", "efficientnet_b0": "features", "googlenet": "inception5b"}[name]
    getattr(model.network, last).register_forward_hook(lambda *call: sides.extend(call[2].shape[2:]))
    with torch.no_grad():
        model(torch.randn(1, 1, 64, 64))
    assert sides == [64 // stride] * 2


@pytest.mark.parametrize(("probability", "same"), [(0.0, True), (0.8, False)])
def test_blocks_are_skipped_in_training_with_the_requested_probability(probability: float, same: bool) -> None:
    model = ours("efficientnet_b0", dropout=0.0, stochastic_depth=probability).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()  # so that nothing else differs
    images = torch.randn(8, 1, 8, 8)
    assert torch.equal(model(images), model(images)) is same


def test_refuses_to_skip_all_blocks() -> None:
    with pytest.raises(ValueError, match="stochastic_depth: expected from 0 to below 1, got 1"):
        ours("efficientnet_b0", stochastic_depth=1)


@pytest.mark.parametrize(
    ("size", "stride"), [(8, 2), (28, 8), (32, 8), (64, 16), (96, 16), (97, 32), (128, 32), (500, 32)]
)
def test_by_default_four_pixels_a_side_are_left(size: Any, stride: int) -> None:
    assert fitting_stride(size, (1, 2, 4, 8, 16, 32)) == stride


def test_small_images_get_the_minimum_stride() -> None:
    assert fitting_stride(8, (8, 16, 32)) == 8


@pytest.mark.parametrize(("name", "known"), [("resnet18", "8, 16, 32"), ("inception_v3", "32")])
def test_a_stride_that_it_cannot_have_is_refused(name: str, known: str) -> None:
    with pytest.raises(ValueError, match=f"--model.stride 5: expected one of {known}"):
        ours(name, stride=5)


@pytest.mark.parametrize("name", QUICK)
def test_grey_equals_the_same_grey_in_all_three_channels(name: str) -> None:
    grey, colour = ours(name, 32, 1), ours(name, 32, 3)
    images = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(grey(images), colour(images.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4)


def test_other_channels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"in_channels: expected 1 .* got 2"):
        for_channels(nn.Conv2d(3, 4, 3), 2)


@pytest.mark.parametrize("name", QUICK)
def test_examples_do_not_leak_into_each_other(name: str) -> None:
    model = ours(name)
    images = torch.randn(4, 1, 8, 8)
    changed = images.clone()
    changed[2] = 0
    with torch.no_grad():
        torch.testing.assert_close(model(images)[[0, 1, 3]], model(changed)[[0, 1, 3]], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("name", "auxiliary", "weight"), [("googlenet", 2, 0.3), ("inception_v3", 1, 0.4)])
def test_the_auxiliary_classifiers_count_in_training_only(name: str, auxiliary: int, weight: float) -> None:
    model = ours(name, dropout=0.0)
    batch = torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 3])
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # googlenet's auxiliary classifiers have their own
    model.train()
    outputs = model.network(model.enlarged(batch[0]))
    losses = [nn.functional.cross_entropy(output, batch[1]) for output in outputs]
    assert len(losses) == 1 + auxiliary
    torch.testing.assert_close(model.step(batch).loss, losses[0] + weight * sum(losses[1:]))
    assert model(batch[0]).shape == (4, 4)
    probabilities = nn.functional.one_hot(batch[1], 4).float()  # as of mixed images
    torch.testing.assert_close(model.step((batch[0], probabilities)).loss, model.step(batch).loss)
    model.step(batch).loss.backward()
    assert all(parameter.grad is not None for parameter in model.network.parameters())
    model.eval()
    step = model.step(batch)
    assert step.prediction.shape == (4, 4)
    torch.testing.assert_close(step.loss, nn.functional.cross_entropy(model(batch[0]), batch[1]))


def test_inception_v3s_auxiliary_classifier_is_torchvisions_where_images_have_their_size() -> None:
    expected, classifier = reference("inception_v3").AuxLogits, ours("inception_v3", 299, 3).network.AuxLogits
    expected.load_state_dict(classifier.state_dict())
    features = torch.randn(1, 768, 17, 17)
    with torch.no_grad():
        torch.testing.assert_close(classifier.eval()(features), expected(features), rtol=0, atol=0)


def test_inception_v3_scales_small_images_up_and_leaves_others() -> None:
    model = ours("inception_v3")
    assert model.enlarged(torch.rand(1, 1, 8, 16)).shape[2:] == (75, 150)
    large = torch.rand(1, 1, 80, 90)
    assert model.enlarged(large) is large


@pytest.mark.parametrize("name", QUICK)
def test_starts_from_a_file_of_weights(name: str, tmp_path: Path) -> None:
    source = reference(name, classes=7)
    torch.save(source.state_dict(), tmp_path / "weights.pt")
    same = ours(name, 128, 3, classes=7, pretrained=str(tmp_path / "weights.pt"))
    images = torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        torch.testing.assert_close(same(images), source(images), rtol=0, atol=0)
    other = ours(name, 8, 1, classes=4, pretrained=str(tmp_path / "weights.pt"))
    kept = {key for key, value in other.network.state_dict().items() if torch.equal(value, source.state_dict()[key])}
    fresh = {key for key in source.state_dict() if key not in kept}
    first = {"resnet18": "conv1.", "efficientnet_b0": "features.0.0.", "googlenet": "conv1.conv."}[name]
    assert all(key.startswith((first, "fc.", "classifier.", "aux1.", "aux2.")) for key in fresh)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"conv1.weight": torch.zeros(1)}, r"not of resnet18: .* expected shape"),
        ("resnet50", r"not of resnet18: layer1.0.conv1.weight is of shape \[64, 64, 1, 1\]"),
        ([1, 2], "expected a state_dict"),
        (Path("code"), "not a file of weights"),  # a pickled object, which is refused
    ],
)
def test_a_file_of_other_weights_is_refused(content: Any, message: str, tmp_path: Path) -> None:
    if isinstance(content, str):
        content = reference(content).state_dict()
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(ValueError, match=rf"--model.pretrained .*weights.pt: {message}"):
        ours("resnet18", 128, 3, pretrained=str(tmp_path / "weights.pt"))


def test_an_unknown_name_is_refused_with_those_that_torchvision_has() -> None:
    with pytest.raises(ValueError, match=r"IMAGENET: neither a file nor .* \(IMAGENET1K_V1, IMAGENET1K_V2"):
        ours("resnet50", pretrained="IMAGENET")


def test_without_a_network_the_address_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(url: str, file: str, hash_prefix: str | None, **options: Any) -> None:
        assert hash_prefix is not None, "what is downloaded is verified"
        raise URLError("no route")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    with pytest.raises(ValueError, match=r"IMAGENET1K_V1: cannot be downloaded .*https://.*resnet18.*\.pth"):
        ours("resnet18", pretrained="IMAGENET1K_V1")


def test_a_downloaded_pickle_of_more_than_weights_does_not_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def forge(url: str, file: str, *args: Any, **options: Any) -> None:
        torch.save({"weight": Leaves(tmp_path / "it ran")}, file)

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", forge)
    with pytest.raises(pickle.UnpicklingError):
        ours("resnet18", pretrained="IMAGENET1K_V1")
    assert not (tmp_path / "it ran").exists()


def test_a_checkpoint_does_not_need_the_file_again(tmp_path: Path) -> None:
    model = ours("resnet18")
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    assert torch.load(tmp_path / "model.ckpt", weights_only=True)["rebuild"] == {"pretrained": None}


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (2, 2), (3, 5), (9, 9)])
@pytest.mark.parametrize(("kernel", "stride", "bias"), [(3, 1, False), (5, 1, True), (5, 2, False)])
def test_a_cropped_convolution_gives_the_same_and_the_same_gradients(
    size: Any, kernel: int, stride: int, bias: bool
) -> None:
    whole = nn.Conv2d(4, 4, kernel, stride, kernel // 2, groups=4, bias=bias)
    cropped = CroppedConv2d.of(whole)
    x = torch.randn(2, 4, *size)
    torch.testing.assert_close(cropped(x), whole(x))
    gradients = [torch.autograd.grad(module(x).square().sum(), [*whole.parameters()]) for module in (whole, cropped)]
    torch.testing.assert_close(*gradients)


def test_depthwise_convolutions_alone_are_cropped_and_weights_keep_their_names() -> None:
    network = models.efficientnet_b0(num_classes=3)
    names = list(network.state_dict())
    crop_to_small_maps(network)
    assert list(network.state_dict()) == names
    depthwise = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert len(depthwise) == 16
    assert all(isinstance(convolution, CroppedConv2d) for convolution in depthwise)
    assert sum(isinstance(m, CroppedConv2d) for m in network.modules()) == 16
