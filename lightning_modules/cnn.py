"""Convolutional network for small images."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from lightning_modules.layers.vision import conv_block
from lightning_modules.tasks.classifier import Classifier


class CNN(Classifier):
    """Blocks of convolution, batch normalisation and pooling, and a linear layer on the features of the last.

    LeNet's plan (LeCun et al. 1998, https://doi.org/10.1109/5.726791) with batch normalisation (Ioffe & Szegedy 2015,
    https://arxiv.org/abs/1502.03167).

    Args:
        in_channels: C
        image_size: H, the longer side.
        num_classes: K
        channels: of each block; each halves the image.
        dropout: probability of dropping a feature map after each block but the last, and a feature before the linear
            layer.
        kwargs: as for Classifier and Task.

    Shapes:
        input (B, C, H, W), output (B, K)
    """

    def __init__(
        self,
        in_channels: int,
        image_size: int,
        num_classes: int,
        channels: Sequence[int] = (32, 64, 128),
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        if image_size < 2 ** (len(channels) - 1):
            raise ValueError(
                f"--model.channels: {len(channels)} blocks each halve the image, but it has only {image_size} pixels"
            )
        sizes = [in_channels, *channels]
        last = len(channels) - 1
        self.blocks = nn.Sequential(
            *(conv_block(sizes[i], sizes[i + 1], dropout if i < last else 0.0) for i in range(len(channels)))
        )
        cells = min(-(-image_size // 2 ** len(channels)), 4)  # a side of the pooled feature map
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(cells),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(channels[-1] * cells**2, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        features = self.blocks(images)  # (B, C, H, W) → (B, C', H', W')
        return self.head(features)
