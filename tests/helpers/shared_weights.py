"""One process of two, that keeps half of every weight; test_processes.py starts it."""

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.tensor import DTensor

from lightning_modules.layers.transformer import EncoderLayer
from lightning_modules.optim.parameter_groups import parameter_groups
from scripts.cli.distributed.fsdp import shard_model


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(8, 2, 16, 0.0, True) for _ in range(2))
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x, torch.ones(1, 1, 1, 3, dtype=torch.bool))
        return self.head(x)


def main() -> None:
    """Check what is kept of a weight, and that all of it is there while the model computes."""
    distributed.init_process_group("gloo")
    torch.manual_seed(distributed.get_rank())
    model = Encoder()
    layers: Any = model.layers
    seen: list[tuple[bool, ...]] = []

    def look(*_: object) -> None:
        seen.append(tuple(isinstance(layer.attention.query.weight, DTensor) for layer in layers))

    for layer in layers:
        layer.feedforward.register_forward_pre_hook(look)
    shard_model(model, torch.device("cpu"))
    for name, weight in model.named_parameters():
        assert isinstance(weight, DTensor), name
        assert weight.to_local().numel() * 2 == weight.numel(), name
    bare = [group["params"] for group in parameter_groups(model, [], {"weight_decay": 0.1}) if "weight_decay" in group]
    norms = {
        id(weight) for module in model.modules() if isinstance(module, nn.LayerNorm) for weight in module.parameters()
    }
    for name, weight in model.named_parameters():  # which decay as they would whole
        expected = id(weight) in norms or name.endswith("bias")
        assert any(weight is other for weights in bare for other in weights) == expected, name
    with torch.no_grad():
        model(torch.zeros(1, 3, 8))
    assert seen == [(False, True), (True, False)]
    whole = layers[0].attention.query.weight.full_tensor()
    torch.manual_seed(0)
    first: Any = Encoder().layers[0]
    assert torch.equal(whole, first.attention.query.weight)  # the first process's
    distributed.destroy_process_group()
