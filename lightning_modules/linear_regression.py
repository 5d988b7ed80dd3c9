"""Linear regression."""

from typing import Any

from torch import Tensor, nn

from lightning_modules.tasks.regressor import Regressor


class LinearRegression(Regressor):
    """Least squares, `y = x · w + b`, fitted by gradient descent on the squared error.

    Hastie et al. 2009, section 3.2, https://doi.org/10.1007/978-0-387-84858-7.

    Args:
        num_features: F, features of each example.
        kwargs: arguments of Regressor and Task.

    Shapes:
        input (B, F), output (B,)
    """

    def __init__(self, num_features: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.linear = nn.Linear(num_features, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Prediction of the standardised target."""
        return self.linear(x).squeeze(-1)  # (B, 1) → (B,)

    def coefficients_of_features(self) -> Tensor:
        """The weights, in the target's units."""
        return self.linear.weight[0] * self.target_std
