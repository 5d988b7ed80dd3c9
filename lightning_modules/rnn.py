"""Elman's recurrent network for forecasting."""

from typing import Any

from torch import Tensor, nn

from lightning_modules.layers.sequence import forecast
from lightning_modules.tasks.forecaster import Forecaster


class RNN(Forecaster):
    """Elman layers over the window, and a linear layer that forecasts all steps at once from the last hidden state.

    Elman 1990, https://doi.org/10.1207/s15516709cog1402_1: `h_t = tanh(W x_t + U h_{t-1} + b)`.

    Args:
        num_features: C, channels of the series.
        horizon: H, number of time steps to forecast.
        hidden_size: D, features of each layer.
        num_layers: number of recurrent layers.
        dropout: dropout probability between layers and before the linear layer.
        relative: read and forecast differences from the window's last value, for series whose level drifts.
        kwargs: arguments of Forecaster and Task.

    Shapes:
        input a window of W time steps (B, W, C), output (B, H)
    """

    def __init__(
        self,
        num_features: int,
        horizon: int,
        hidden_size: int = 64,
        num_layers: int = 1,
        dropout: float = 0.1,
        relative: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(horizon=horizon, **kwargs)
        between = dropout if num_layers > 1 else 0.0
        self.rnn = nn.RNN(num_features, hidden_size, num_layers, batch_first=True, dropout=between)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden_size, horizon))
        self.relative = relative

    def forward(self, x: Tensor) -> Tensor:
        """Forecast of the standardised target."""
        return forecast(self.rnn, self.head, x, self.relative)
