"""A classifier of images. TODO: what it is."""

from typing import Any

from torch import Tensor, nn

from lightning_modules.tasks.classifier import Classifier


class NewModel(Classifier):
    """Two convolutions and a linear layer on the mean over all pixels. TODO: what it is, with its paper.

    Args:
        in_channels: C, stated by the data, as is num_classes.
        num_classes: K
        hidden_size: D, feature maps.
        dropout: probability of zeroing a feature before the linear layer in training.
        kwargs: as for Classifier and Task.

    Shapes:
        input (B, C, H, W), output (B, K)
    """

    def __init__(
        self, in_channels: int, num_classes: int, hidden_size: int = 64, dropout: float = 0.1, **kwargs: Any
    ) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, hidden_size, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Conv2d(hidden_size, hidden_size, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Dropout2d(dropout),
        )
        self.head = nn.Linear(hidden_size, num_classes)  # called head: fine-tuning trains it first

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        maps = self.features(images)  # (B, C, H, W) → (B, D, H / 2, W / 2)
        return self.head(maps.mean((2, 3)))  # (B, D) → (B, K)
