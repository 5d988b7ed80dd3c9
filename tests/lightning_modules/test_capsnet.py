from typing import Any

import pytest
import torch

from lightning_modules.capsnet import CapsNet, ClassCapsules, margin_loss, route, squash
from tests.helpers.recorded_board import RecordedBoard


def small(**options: Any) -> CapsNet:
    torch.manual_seed(0)
    sizes = {"in_channels": 1, "image_size": 8, "num_classes": 4}
    return CapsNet(**{**sizes, "conv_channels": 8, "primary_channels": 4, "decoder_sizes": (16,), **options}).eval()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0])
def test_squashed_vectors_keep_their_direction_and_are_shorter_than_one(scale: float) -> None:
    s = scale * torch.randn(50, 6)
    v = squash(s)
    length = s.norm(dim=1)
    torch.testing.assert_close(v.norm(dim=1), length.square() / (1 + length.square()), rtol=1e-4, atol=1e-9)
    torch.testing.assert_close(v / v.norm(dim=1, keepdim=True), s / length[:, None], rtol=1e-4, atol=1e-5)
    assert (v.norm(dim=1) > 0).all()
    assert (v.norm(dim=1) < 1).all()


def test_a_capsule_of_length_zero_has_a_gradient() -> None:
    s = torch.zeros(2, 3, requires_grad=True)
    squash(s).sum().backward()
    assert s.grad is not None
    assert s.grad.isfinite().all()


@pytest.mark.parametrize("iterations", [1, 2, 3])
def test_routing_equals_the_procedure_written_out(iterations: int) -> None:
    torch.manual_seed(0)
    votes = torch.randn(2, 4, 5, 3)  # B, C, P, D
    found, weights = route(votes, iterations)
    for example in range(2):
        b = torch.zeros(5, 4)
        for _ in range(iterations):
            c = torch.stack([row.exp() / row.exp().sum() for row in b])
            v = [squash(torch.stack([c[i, j] * votes[example, j, i] for i in range(5)]).sum(0)) for j in range(4)]
            b = b + torch.tensor([[float(votes[example, j, i] @ v[j]) for j in range(4)] for i in range(5)])
        torch.testing.assert_close(found[example], torch.stack(v))
        torch.testing.assert_close(weights[example], c.T)


def test_routing_weights_of_a_primary_capsule_sum_to_one() -> None:
    torch.manual_seed(0)
    _, weights = route(5 * torch.randn(3, 10, 20, 4), 3)
    torch.testing.assert_close(weights.sum(1), torch.ones(3, 20))
    assert weights.std() > 0.05


def test_routing_prefers_the_capsule_whose_votes_agree() -> None:
    torch.manual_seed(0)
    votes = torch.randn(1, 2, 30, 4)
    votes[:, 0] = torch.tensor([2.0, 0, 0, 0])  # all agree on class 0
    capsules, weights = route(votes, 3)
    assert (weights[0, 0] > 0.5).all()
    assert capsules.norm(dim=-1)[0, 0] > capsules.norm(dim=-1)[0, 1]


def test_each_primary_capsule_votes_by_matrices_of_its_own() -> None:
    torch.manual_seed(0)
    layer = ClassCapsules(num_primary=5, primary_size=3, num_classes=4, class_size=2, iterations=3)
    primary = torch.randn(2, 5, 3)
    matrices = layer.weight.view(5, 3, 4, 2)
    torch.testing.assert_close(layer.votes(primary), torch.einsum("bpe,pecd->bcpd", primary, matrices))


def test_margin_loss_is_the_papers() -> None:
    lengths = torch.tensor([[0.95, 0.05, 0.3], [0.2, 0.4, 0.0]])
    expected = (0.5 * (0.3 - 0.1) ** 2 + ((0.9 - 0.4) ** 2 + 0.5 * (0.2 - 0.1) ** 2)) / 2
    assert float(margin_loss(lengths, torch.tensor([0, 1])).mean()) == pytest.approx(expected)


@pytest.mark.parametrize(("channels", "size"), [(1, 6), (1, 8), (1, 28), (3, 32), (3, 100)])
def test_lengths_are_between_zero_and_one_whatever_the_size_of_the_image(channels: int, size: int) -> None:
    model = small(in_channels=channels, image_size=size)
    for shape in ((size, size), (size, size - 2), (size - 2, size)):
        images = 3 * torch.randn(2, channels, *shape)
        lengths = model.capsules(images).norm(dim=-1)
        assert lengths.shape == (2, 4)
        assert (lengths > 0).all()
        assert (lengths < 1).all()
        torch.testing.assert_close(model(images).exp(), lengths)


def test_has_the_papers_sizes_on_mnist() -> None:
    model = CapsNet(in_channels=1, image_size=28, num_classes=10)
    assert model.conv.weight.shape == (256, 1, 9, 9)
    assert model.primary.weight.shape == (256, 256, 9, 9)
    assert model.classes.weight.shape == (1152, 8, 160)
    assert [layer.out_features for layer in model.decoder[::2]] == [512, 1024, 784]


def test_probabilities_are_the_lengths_divided_by_their_sum() -> None:
    model = small(class_names=["零", "one", "two", "three"])
    images = torch.randn(3, 1, 8, 8)
    lengths = model.capsules(images).norm(dim=-1)
    for row, length in zip(model.predict_step(images), lengths, strict=True):
        assert list(row["probabilities"].values()) == pytest.approx((length / length.sum()).tolist(), rel=1e-4)
        assert row["prediction"] == model.class_names[int(length.argmax())]


def test_reconstructs_from_the_chosen_capsule_alone() -> None:
    model = small()
    capsules, target = torch.randn(2, 4, 16), torch.tensor([1, 3])
    changed = capsules.clone()
    changed[0, [0, 2, 3]] = 7
    changed[1, :3] = 7
    torch.testing.assert_close(model.reconstruct(changed, target), model.reconstruct(capsules, target))
    other = model.reconstruct(capsules, torch.tensor([0, 3]))
    assert not torch.allclose(other[0], model.reconstruct(capsules, target)[0])


@torch.no_grad()
def test_the_loss_is_the_margin_and_the_weighted_error_of_the_right_capsules_image() -> None:
    images, target = torch.randn(5, 1, 8, 8), torch.tensor([0, 1, 2, 3, 0])
    losses = [small(reconstruction=weight).step((images, target)).loss.item() for weight in (0.0, 0.5)]
    model = small()
    capsules = model.capsules(images)
    assert losses[0] == pytest.approx(float(margin_loss(capsules.norm(dim=-1), target).mean()))
    error = (model.reconstruct(capsules, target) - images).square().sum() / 5
    assert losses[1] - losses[0] == pytest.approx(0.5 * float(error), rel=1e-5)


@torch.no_grad()
def test_a_mixed_image_costs_what_its_classes_cost_by_their_probabilities_and_is_reconstructed_from_both() -> None:
    lengths, first, second = torch.rand(6, 4), torch.tensor([0, 1, 2, 3, 0, 1]), torch.tensor([1, 1, 3, 0, 2, 2])
    one, other = (torch.nn.functional.one_hot(target, 4).float() for target in (first, second))
    mixed = 0.7 * one + 0.3 * other
    expected = 0.7 * margin_loss(lengths, first) + 0.3 * margin_loss(lengths, second)
    torch.testing.assert_close(margin_loss(lengths, mixed), expected)
    model = small()
    capsules = torch.randn(6, 4, 16)
    torch.testing.assert_close(model.reconstruct(capsules, one), model.reconstruct(capsules, first))
    changed = capsules.clone()
    changed[mixed == 0] = 7
    torch.testing.assert_close(model.reconstruct(changed, mixed), model.reconstruct(capsules, mixed))
    assert not torch.allclose(model.reconstruct(capsules, mixed)[0], model.reconstruct(capsules, first)[0])
    images = torch.randn(6, 1, 8, 8)
    torch.testing.assert_close(model.step((images, one)).loss, model.step((images, first)).loss)


def test_shows_the_reconstructions() -> None:
    board = RecordedBoard()
    small().show((torch.randn(20, 1, 8, 6), torch.zeros(20, dtype=torch.long)), board)
    axes = board.figures["reconstructions"].axes[0]
    shown = [image.get_array() for image in axes.images]
    assert {image.shape for image in shown} == {(8, 8)}, "the images are padded as the model pads them"
    assert len(shown) == 16
    assert all(0 <= image.min() < image.max() <= 1 for image in shown)
    assert {"image", "reconstruction"} < {text.get_text() for text in axes.texts}


def test_refuses_images_too_small_for_two_convolutions() -> None:
    with pytest.raises(ValueError, match=r"--data\.image_size: .* at least 6 pixels a side, got 5"):
        small(image_size=5)
