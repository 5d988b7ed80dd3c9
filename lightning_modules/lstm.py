"""Long short-term memory for forecasting."""

from typing import Any

from torch import Tensor, nn

from lightning_modules.layers.sequence import forecast
from lightning_modules.tasks.forecaster import Forecaster


class LSTM(Forecaster):
    """LSTM layers over the window, and a linear layer that forecasts all steps at once from the last hidden state.

    Hochreiter & Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735, with the forget gate of Gers et al. 2000,
    https://doi.org/10.1162/089976600300015015: `c_t = f_t c_{t-1} + i_t g_t`, `h_t = o_t tanh(c_t)`.

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
        self.lstm = nn.LSTM(num_features, hidden_size, num_layers, batch_first=True, dropout=between)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden_size, horizon))
        self.relative = relative

    def forward(self, x: Tensor) -> Tensor:
        """Forecast of the standardised target."""
        return forecast(self.lstm, self.head, x, self.relative)
