"""Linear regression."""

from typing import Any

from torch import Tensor, nn

from lightning_modules.tasks.regressor import Regressor


class LinearRegression(Regressor):
    """Least squares, `y = x · w + b`, found by descending the squared error.

    Args:
        num_features: F
        kwargs: as for Regressor and Task.

    Shapes:
        input (B, F), output (B,)
    """

    def __init__(self, num_features: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.linear = nn.Linear(num_features, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Predict, in units of the target's spread."""
        return self.linear(x).squeeze(-1)  # (B, 1) → (B,)
