"""A classifier of the rows of a table. TODO: what it is."""

from typing import Any

from torch import Tensor, nn

from lightning_modules.tasks.classifier import Classifier


class NewModel(Classifier):
    """One hidden layer. TODO: what it is, with its paper and the formula.

    Args:
        num_features: F, stated by the data, as is num_classes.
        num_classes: K
        hidden_size: D, features of the hidden layer.
        dropout: probability of zeroing a hidden feature in training.
        kwargs: as for Classifier and Task.

    Shapes:
        input (B, F), output (B, K)
    """

    def __init__(
        self, num_features: int, num_classes: int, hidden_size: int = 64, dropout: float = 0.1, **kwargs: Any
    ) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        self.hidden = nn.Sequential(nn.Linear(num_features, hidden_size), nn.ReLU(), nn.Dropout(dropout))
        self.head = nn.Linear(hidden_size, num_classes)  # called head: fine-tuning trains it first

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.head(self.hidden(x))  # (B, F) → (B, D) → (B, K)
