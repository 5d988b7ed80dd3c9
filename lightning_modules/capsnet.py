"""Capsule network.

Shapes: B images of C channels, H rows and W columns; P primary capsules of E features; K classes, whose capsules have D
features.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.tasks.classifier import Classifier
from lightning_modules.tasks.losses import class_probabilities
from lightning_modules.tasks.task import Step


def squash(s: Tensor) -> Tensor:
    """Shorten vectors to a length below 1 in their own direction: `|s|² / (1 + |s|²) · s / |s|`, on the last axis."""
    square = s.square().sum(-1, keepdim=True)
    return s * square / (1 + square) * (square + 1e-12).rsqrt()


def route(votes: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """Routing by agreement: each primary capsule's votes count the more, the better they agree with the others'.

    Sabour et al. 2017, procedure 1, https://arxiv.org/abs/1710.09829. Only the last iteration has a gradient, as in
    the authors' own implementation.

    Args:
        votes: (B, K, P, D), each primary capsule's predictions of the class capsules.
        iterations: number of routing iterations, at least 1.

    Returns:
        The class capsules (B, K, D), and the coupling coefficients (B, K, P), which sum to one over K.
    """
    fixed = votes.detach()
    logits = votes.new_zeros(votes.shape[:3])  # (B, K, P)
    for _ in range(iterations - 1):
        capsules = squash(torch.einsum("bkp,bkpd->bkd", logits.softmax(dim=1), fixed))  # (B, K, D)
        logits = logits + torch.einsum("bkd,bkpd->bkp", capsules, fixed)
    weights = logits.softmax(dim=1)
    return squash(torch.einsum("bkp,bkpd->bkd", weights, votes)), weights


class ClassCapsules(nn.Module):
    """A capsule for each class, routed to from all primary capsules.

    Sabour et al. 2017, section 4, https://arxiv.org/abs/1710.09829.

    Args:
        num_primary: P
        primary_size: E
        num_classes: K
        class_size: D
        iterations: number of routing iterations, at least 1.

    Shapes:
        input (B, P, E), output (B, K, D)
    """

    def __init__(self, num_primary: int, primary_size: int, num_classes: int, class_size: int, iterations: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_primary, primary_size, num_classes * class_size) * 0.1)
        self.num_classes = num_classes
        self.iterations = iterations

    def votes(self, primary: Tensor) -> Tensor:
        """Each primary capsule's predictions of the class capsules."""
        votes = torch.bmm(primary.transpose(0, 1), self.weight)  # (P, B, E) → (P, B, K · D)
        votes = votes.unflatten(2, (self.num_classes, -1))  # (P, B, K, D)
        return votes.permute(1, 2, 0, 3).float().contiguous()  # (B, K, P, D)

    def forward(self, primary: Tensor) -> Tensor:
        """The class capsules."""
        votes = self.votes(primary)
        with torch.autocast(votes.device.type, enabled=False):  # agreements are sums of more than a thousand terms
            return route(votes, self.iterations)[0]


def margin_loss(lengths: Tensor, target: Tensor) -> Tensor:
    """`T_k max(0, 0.9 - |v_k|)² + 0.5 (1 - T_k) max(0, |v_k| - 0.1)²`, summed over the classes, of each example: (B,).

    Sabour et al. 2017, equation 4, https://arxiv.org/abs/1710.09829.

    Args:
        lengths: (B, K), lengths of the class capsules.
        target: (B,) class indices, or (B, K) class probabilities.
    """
    present = class_probabilities(target, lengths.shape[1]).to(lengths)
    terms = present * (0.9 - lengths).relu().square() + 0.5 * (1 - present) * (lengths - 0.1).relu().square()
    return terms.sum(1)


def log_lengths(capsules: Tensor) -> Tensor:
    """Logits (B, K) of capsules (B, K, D): their softmax is the lengths divided by their sum."""
    return capsules.norm(dim=-1).clamp(min=1e-9).log()


class CapsNet(Classifier):
    """Convolution, primary capsules, class capsules whose lengths say which class is present, and a decoder that
    reconstructs the image from the capsule of its class.

    Sabour et al. 2017, https://arxiv.org/abs/1710.09829. The kernels shrink with images below 28 pixels, and the first
    one's stride grows with larger ones. The decoder's pixels are normalised, so its output has no sigmoid.

    Args:
        in_channels: C
        image_size: the longer side, in pixels, at least 6; images are padded to squares.
        num_classes: K
        conv_channels: output channels of the first convolution.
        primary_channels: number of primary capsules at each position.
        primary_size: E, features of each primary capsule.
        class_size: D, features of each class capsule.
        routing: number of routing iterations, at least 1.
        decoder_sizes: units in each of the decoder's hidden layers.
        reconstruction: weight of the reconstruction's squared error, summed over the pixels, relative to the margin
            loss.
        kwargs: arguments of Classifier and Task.

    Shapes:
        input (B, C, H, W), output (B, K), the logarithms of the capsules' lengths

    Raises:
        ValueError: the images are too small.
    """

    own_loss = True
    head_names = ("classes", "decoder")

    def __init__(
        self,
        in_channels: int,
        image_size: int,
        num_classes: int,
        conv_channels: int = 256,
        primary_channels: int = 32,
        primary_size: int = 8,
        class_size: int = 16,
        routing: int = 3,
        decoder_sizes: Sequence[int] = (512, 1024),
        reconstruction: float = 5e-5,  # the paper's 5e-4 is for pixels from 0 to 1, whose variance is about a tenth
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        if image_size < 6:
            raise ValueError(f"--data.image_size: a capsule network needs at least 6 pixels a side, got {image_size}")
        kernel = min(9, image_size // 3 | 1)  # always odd; 9 for 28 pixels, 3 for 8
        stride = max(1, image_size // 28)
        side = ((image_size - kernel) // stride + 1 - kernel) // 2 + 1  # positions in a row of primary capsules
        self.image_shape = (in_channels, image_size, image_size)
        self.conv = nn.Conv2d(in_channels, conv_channels, kernel, stride)
        self.primary = nn.Conv2d(conv_channels, primary_channels * primary_size, kernel, stride=2)
        self.primary_size = primary_size
        self.classes = ClassCapsules(primary_channels * side**2, primary_size, num_classes, class_size, routing)
        sizes = [num_classes * class_size, *decoder_sizes]
        hidden = [layer for i in range(len(decoder_sizes)) for layer in (nn.Linear(sizes[i], sizes[i + 1]), nn.ReLU())]
        self.decoder = nn.Sequential(*hidden, nn.Linear(sizes[-1], in_channels * image_size**2))
        self.reconstruction = reconstruction

    def squared(self, images: Tensor) -> Tensor:
        """The images, padded to squares with zeros to the right or below."""
        side = self.image_shape[1]
        return F.pad(images, (0, side - images.shape[3], 0, side - images.shape[2]))

    def capsules(self, images: Tensor) -> Tensor:
        """The class capsules, (B, K, D)."""
        features = self.primary(self.conv(self.squared(images)).relu())  # (B, channels · E, h, w)
        features = features.unflatten(1, (-1, self.primary_size)).flatten(3)  # (B, channels, E, h · w)
        primary = features.transpose(2, 3).flatten(1, 2)  # (B, P, E)
        return self.classes(squash(primary.float()))  # (B, K, D)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        return log_lengths(self.capsules(images))

    def reconstruct(self, capsules: Tensor, target: Tensor) -> Tensor:
        """Images (B, C, H, H), each from the capsule of its class; the other capsules are masked by zeros.

        A mixed image is reconstructed from the capsules of both its classes, weighted by their probabilities.
        """
        mask = class_probabilities(target, self.num_classes).to(capsules)  # (B, K)
        pixels = self.decoder((capsules * mask[..., None]).flatten(1))  # (B, K · D) → (B, C · H · H)
        return pixels.unflatten(1, self.image_shape)

    def step(self, batch: Any) -> Step:
        """Margin loss, and squared error of the image reconstructed from the true class's capsule."""
        images, target = batch
        capsules = self.capsules(images)
        margins = margin_loss(capsules.norm(dim=-1), target)
        errors = (self.reconstruct(capsules, target).float() - self.squared(images)).square().flatten(1).sum(1)
        return Step(self.mean(margins + self.reconstruction * errors, target), log_lengths(capsules), target)

    def reconstructed(self, images: Tensor) -> Tensor:
        """Images from the longest capsule of each."""
        capsules = self.capsules(images)
        return self.reconstruct(capsules, capsules.norm(dim=-1).argmax(-1))
