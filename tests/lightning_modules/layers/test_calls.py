import torch
from torch import nn

from lightning_modules.layers.calls import calls_of


def test_every_call_is_kept_with_its_arguments_and_its_output_until_the_end() -> None:
    layer = nn.Linear(2, 1)
    network, x = nn.Sequential(layer, nn.ReLU()), torch.ones(3, 2)
    with calls_of(layer) as calls:
        network(x)
        layer(input=2 * x)
    network(x)
    assert len(calls) == 2
    assert calls[0].args[0] is x
    assert torch.equal(calls[0].output, layer(x))
    assert torch.equal(calls[1].kwargs["input"], 2 * x)
