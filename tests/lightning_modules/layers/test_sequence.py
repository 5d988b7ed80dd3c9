import pytest
import torch

from lightning_modules.lstm import LSTM
from lightning_modules.rnn import RNN


@pytest.mark.parametrize("kind", [RNN, LSTM])
def test_relative_forecasts_move_with_the_level(kind):
    torch.manual_seed(0)
    model = kind(num_features=1, horizon=3, relative=True).eval()
    x = torch.randn(4, 7, 1)
    torch.testing.assert_close(model(x + 100), model(x) + 100, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("kind", [RNN, LSTM])
@pytest.mark.parametrize("num_layers", [1, 3])
def test_the_whole_window_is_read(kind, num_layers):
    torch.manual_seed(0)
    x = torch.randn(4, 7, 2, requires_grad=True)
    kind(num_features=2, horizon=3, num_layers=num_layers)(x).sum().backward()
    assert (x.grad.abs().sum((0, 2)) > 0).all()
