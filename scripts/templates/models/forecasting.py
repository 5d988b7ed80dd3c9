"""A forecaster of time series. TODO: what it is."""

from typing import Any

from torch import Tensor, nn

from lightning_modules.tasks.forecaster import Forecaster


class NewModel(Forecaster):
    """Recurrent layers read the window; a linear layer forecasts all steps ahead at once. TODO: what it is.

    Args:
        num_features: C, stated by the data, as is horizon.
        horizon: H, time steps to forecast.
        hidden_size: D, features of the recurrent layer.
        dropout: probability of zeroing a feature before the linear layer in training.
        kwargs: as for Forecaster and Task.

    Shapes:
        input (B, W, C), scaled, the target's past in channel 0; output (B, H), scaled alike
    """

    def __init__(
        self, num_features: int, horizon: int, hidden_size: int = 32, dropout: float = 0.1, **kwargs: Any
    ) -> None:
        super().__init__(horizon=horizon, **kwargs)
        self.cells = nn.GRU(num_features, hidden_size, batch_first=True)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden_size, horizon))

    def forward(self, window: Tensor) -> Tensor:
        """Forecast."""
        states, _ = self.cells(window)  # (B, W, C) → (B, W, D)
        return self.head(states[:, -1])  # (B, D) → (B, H)
