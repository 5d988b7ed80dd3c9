from typing import Any

import torch

from lightning_modules.rnn import RNN


def test_equals_the_recurrence_written_out() -> None:
    torch.manual_seed(0)
    model = RNN(num_features=2, horizon=3, hidden_size=5, relative=False).eval()
    x = torch.randn(4, 7, 2)
    cell: Any = model.rnn
    h = torch.zeros(4, 5)
    for step in range(7):
        h = torch.tanh(x[:, step] @ cell.weight_ih_l0.T + cell.bias_ih_l0 + h @ cell.weight_hh_l0.T + cell.bias_hh_l0)
    torch.testing.assert_close(model(x), model.head[-1](h))
