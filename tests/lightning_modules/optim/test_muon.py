"""Muon for matrices and AdamW for the rest."""

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim

from lightning_modules.optim.muon import MATRICES, MuonAdamW, orthogonal
from lightning_modules.optim.parameter_groups import head_of, parameter_groups


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(10, 8)
        self.layer = nn.Linear(8, 8)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 10, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.norm(self.layer(self.embedding(ids))))


def grouped(network: nn.Module, **options: Any) -> MuonAdamW:
    defaults = MuonAdamW(network.parameters(), **options).defaults
    return MuonAdamW(parameter_groups(network, head_of(network, ["head"]), defaults), **options)


def step(network: nn.Module, optimizer: optim.Optimizer) -> float:
    ids = torch.arange(10)
    network.zero_grad()
    loss = nn.functional.cross_entropy(network(ids), ids)
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def test_only_matrices_between_layers_are_for_muon() -> None:
    network = Network()
    groups = {group["name"]: group for group in grouped(network).param_groups}
    assert {name: group[MATRICES] for name, group in groups.items()} == {
        "matrices": True,
        "weights": False,
        "biases and norms": False,
    }
    assert [id(weight) for weight in groups["matrices"]["params"]] == [id(network.layer.weight)]
    assert groups["biases and norms"]["weight_decay"] == 0


def test_each_weight_is_updated_as_by_torch_s_own_optimizer() -> None:
    one, two = Network(), Network()
    both = grouped(one, lr=0.01, weight_decay=0.1)
    rest = [weight for name, weight in two.named_parameters() if name != "layer.weight"]
    muon = optim.Muon([two.layer.weight], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    groups: list[dict[str, Any]] = [
        {"params": [weight for weight in rest if weight.dim() == 2]},
        {"params": [weight for weight in rest if weight.dim() < 2], "weight_decay": 0.0},
    ]
    adamw = optim.AdamW(groups, lr=0.01, weight_decay=0.1, betas=(0.9, 0.95))
    for _ in range(5):
        step(one, both)
        step(two, muon)  # which computes the gradients of all
        adamw.step()
    for name, weight in one.named_parameters():
        # torch's products of matrices are in bf16 on all devices; in these steps one of the layer moves by about 0.007
        atol = 1e-3 if name == "layer.weight" else 5e-4
        torch.testing.assert_close(weight, two.get_parameter(name), rtol=0.0, atol=atol)


@pytest.mark.parametrize("shape", [(64, 64), (96, 32), (32, 96)])
def test_a_matrix_becomes_nearly_orthogonal(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonal(matrix).float()
    values = torch.linalg.svdvals(found)
    assert ((values > 0.6) & (values < 1.3)).float().mean() > 0.98  # all but those that were nearly 0
    rotated = left.T @ found @ right.T  # the matrix's own singular vectors: all else is 0
    torch.testing.assert_close(rotated, rotated.diag().diag(), rtol=0, atol=0.04)  # bf16 may have multiplied


def test_it_takes_no_longer_where_a_processor_does_not_multiply_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_modules.optim.muon.multiplies_bf16", lambda device: False)
    assert orthogonal(torch.eye(4)).dtype == torch.float32


def test_it_goes_on_from_its_state() -> None:
    network = Network()
    optimizer = grouped(network, lr=0.02)
    for _ in range(3):
        step(network, optimizer)
    again = copy.deepcopy(network)
    other = grouped(again, lr=0.5)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert [step(network, optimizer) for _ in range(3)] == [step(again, other) for _ in range(3)]


def test_a_schedule_changes_the_rate_of_all_groups() -> None:
    network = Network()
    optimizer = grouped(network, lr=0.1)
    scheduler = optim.lr_scheduler.LambdaLR(optimizer, lambda count: 0.0 if count else 1.0)
    step(network, optimizer)
    scheduler.step()
    before = [weight.clone() for weight in network.parameters()]
    step(network, optimizer)
    assert all(torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True))


@pytest.mark.parametrize("lr", [0.003, 0.01])
def test_it_learns(lr: float) -> None:
    network = Network()
    optimizer = grouped(network, lr=lr, weight_decay=0.0)
    losses = [step(network, optimizer) for _ in range(100)]
    assert losses[-1] < 0.5 * losses[0]
