import pytest
import torch

from lightning_modules.lstm import LSTM
from lightning_modules.rnn import RNN


@pytest.mark.parametrize("cls", [RNN, LSTM])
def test_relative_forecasts_move_with_the_level(cls: type[RNN | LSTM]) -> None:
    torch.manual_seed(0)
    model = cls(num_features=1, horizon=3, relative=True).eval()
    x = torch.randn(4, 7, 1)
    torch.testing.assert_close(model(x + 100), model(x) + 100, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("cls", [RNN, LSTM])
@pytest.mark.parametrize("num_layers", [1, 3])
def test_every_step_of_the_window_is_read(cls: type[RNN | LSTM], num_layers: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 7, 2, requires_grad=True)
    cls(num_features=2, horizon=3, num_layers=num_layers)(x).sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().sum((0, 2)) > 0).all()
