"""Regression from the rows of a table. TODO: what it is."""

from typing import Any

from torch import Tensor, nn

from lightning_modules.tasks.regressor import Regressor


class NewModel(Regressor):
    """One hidden layer. TODO: what it is, with its paper and the formula.

    Args:
        num_features: F, stated by the data.
        hidden_size: D, features of the hidden layer.
        dropout: probability of zeroing a hidden feature in training.
        kwargs: as for Regressor and Task.

    Shapes:
        input (B, F), output (B,)
    """

    def __init__(self, num_features: int, hidden_size: int = 64, dropout: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden = nn.Sequential(nn.Linear(num_features, hidden_size), nn.ReLU(), nn.Dropout(dropout))
        self.head = nn.Linear(hidden_size, 1)  # called head: fine-tuning trains it first

    def forward(self, x: Tensor) -> Tensor:
        """Predict, in units of the target's standard deviation."""
        return self.head(self.hidden(x)).squeeze(-1)  # (B, F) → (B, D) → (B, 1) → (B,)
