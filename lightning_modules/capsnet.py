"""Capsule network."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.tasks import boards
from lightning_modules.tasks.classifier import Classifier
from lightning_modules.tasks.losses import class_probabilities
from lightning_modules.tasks.task import Board, Step


def squash(s: Tensor) -> Tensor:
    """Shorten vectors to a length below 1 and keep their direction: `|s|² / (1 + |s|²) · s / |s|`, on the last axis."""
    square = s.square().sum(-1, keepdim=True)
    return s * square / (1 + square) * (square + 1e-12).rsqrt()


def route(votes: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """Routing by agreement: each lower capsule gives its vote to the higher capsules that agree with it.

    Only the last iteration passes a gradient on, as in the authors' own program.

    Args:
        votes: (B, C, P, D), what each of P lower capsules expects of each of C higher ones.
        iterations: at least 1.

    Returns:
        The higher capsules (B, C, D), and the weights (B, C, P), which sum to one over C.
    """
    fixed = votes.detach()
    logits = votes.new_zeros(votes.shape[:3])
    for _ in range(iterations - 1):
        higher = squash(torch.einsum("bcp,bcpd->bcd", logits.softmax(dim=1), fixed))
        logits = logits + torch.einsum("bcd,bcpd->bcp", higher, fixed)
    weights = logits.softmax(dim=1)
    return squash(torch.einsum("bcp,bcpd->bcd", weights, votes)), weights


class ClassCapsules(nn.Module):
    """A capsule for each class, routed to from all primary capsules.

    Args:
        num_primary: P, the primary capsules.
        primary_size: E, numbers in each.
        num_classes: C
        class_size: D, numbers in each class's capsule.
        iterations: of the routing.

    Shapes:
        input (B, P, E), output (B, C, D)
    """

    def __init__(self, num_primary: int, primary_size: int, num_classes: int, class_size: int, iterations: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_primary, primary_size, num_classes * class_size) * 0.1)
        self.num_classes = num_classes
        self.iterations = iterations

    def votes(self, primary: Tensor) -> Tensor:
        """What each primary capsule expects of each class's, (B, C, P, D)."""
        votes = torch.bmm(primary.transpose(0, 1), self.weight)  # (P, B, E) → (P, B, C · D)
        return votes.unflatten(2, (self.num_classes, -1)).permute(1, 2, 0, 3).float().contiguous()

    def forward(self, primary: Tensor) -> Tensor:
        """The classes' capsules."""
        votes = self.votes(primary)
        with torch.autocast(votes.device.type, enabled=False):  # agreements are sums of over a thousand terms
            return route(votes, self.iterations)[0]


def margin_loss(lengths: Tensor, target: Tensor) -> Tensor:
    """`T_k max(0, 0.9 - |v_k|)² + 0.5 (1 - T_k) max(0, |v_k| - 0.1)²`, summed over classes, of each example.

    Args:
        lengths: (B, C)
        target: (B,), or (B, C) with the share of each class.

    Returns:
        (B,)
    """
    right = class_probabilities(target, lengths.shape[1]).to(lengths)
    terms = right * (0.9 - lengths).relu().square() + 0.5 * (1 - right) * (lengths - 0.1).relu().square()
    return terms.sum(1)


def log_lengths(capsules: Tensor) -> Tensor:
    """(B, K, D) → (B, K), whose softmax is the lengths divided by their sum."""
    return capsules.norm(dim=-1).clamp(min=1e-9).log()


class CapsNet(Classifier):
    """Convolution, primary capsules, a capsule for each class whose length says whether the class is there, and a
    decoder that draws the image again from the right class's capsule.

    Sabour et al. 2017, https://arxiv.org/abs/1710.09829. The kernels shrink with images below 28 pixels, and the first
    one's stride grows with larger ones. The decoder draws normalised pixels, so its output has no sigmoid.

    Args:
        in_channels: C
        image_size: H, the longer side; images are made square with empty pixels.
        num_classes: K
        conv_channels: of the first convolution.
        primary_channels: kinds of primary capsules; one of each kind at each place.
        primary_size: numbers in each primary capsule.
        class_size: numbers in each class's capsule.
        routing: iterations of the routing.
        decoder_sizes: units in the decoder's hidden layers.
        reconstruction: weight of the squared error of the drawn image, summed over its pixels, beside the margin loss.
        kwargs: as for Classifier and Task.

    Shapes:
        input (B, C, H, W), output (B, K), the logarithms of the capsules' lengths
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
        kernel = min(9, image_size // 3 | 1)  # odd; 9 for 28 pixels, 3 for 8
        stride = max(1, image_size // 28)
        side = ((image_size - kernel) // stride + 1 - kernel) // 2 + 1  # places for primary capsules in a row
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
        """Images with empty pixels to the right or below, where they are not square."""
        side = self.image_shape[1]
        return F.pad(images, (0, side - images.shape[3], 0, side - images.shape[2]))

    def capsules(self, images: Tensor) -> Tensor:
        """The classes' capsules, (B, K, D)."""
        features = self.primary(self.conv(self.squared(images)).relu())  # (B, primary channels · E, h, w)
        primary = features.unflatten(1, (-1, self.primary_size)).flatten(3).transpose(2, 3)  # (B, channels, h · w, E)
        return self.classes(squash(primary.flatten(1, 2).float()))  # (B, P, E) → (B, K, D)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        return log_lengths(self.capsules(images))

    def drawn(self, capsules: Tensor, target: Tensor) -> Tensor:
        """Images drawn from one capsule each, (B, C, H, H); the others are masked by zeros.

        A mixed image is drawn from the capsules of both its classes, each by its share.
        """
        mask = class_probabilities(target, self.num_classes).to(capsules)
        return self.decoder((capsules * mask[..., None]).flatten(1)).unflatten(1, self.image_shape)

    def step(self, batch: Any) -> Step:
        """Margin loss, and squared error of the image drawn from the right class's capsule."""
        images, target = batch
        capsules = self.capsules(images)
        margins = margin_loss(capsules.norm(dim=-1), target)
        errors = (self.drawn(capsules, target).float() - self.squared(images)).square().flatten(1).sum(1)
        return Step(self.mean(margins + self.reconstruction * errors, target), log_lengths(capsules), target)

    def show(self, batch: Any, board: Board) -> None:
        """Images, and what the longest capsule of each draws."""
        super().show(batch, board)
        images = self.squared(batch[0][:16])
        capsules = self.capsules(images)
        drawn = self.drawn(capsules, capsules.norm(dim=-1).argmax(-1)).clamp(images.min(), images.max())
        board.image("images above, what their capsules draw below", boards.grid(torch.cat([images, drawn])))
