"""Fused steps on a CPU are those of the optimizer, in one pass."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

from lightning_modules.mlp import MLP
from lightning_modules.optim import fused as fused_steps
from lightning_modules.optim.fused import fuse
from lightning_modules.optim.muon import MuonAdamW

OPTIMIZERS: list[tuple[type[Optimizer], dict[str, Any]]] = [
    (Adam, {"weight_decay": 0.1, "amsgrad": True}),
    (AdamW, {}),
    (SGD, {"weight_decay": 0.1}),
    (Adagrad, {}),
]


def trained(fused: bool, optimizer: type[Optimizer], settings: dict[str, Any], steps: int = 20) -> dict[str, Any]:
    """The weights after some steps."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 9), nn.ReLU(), nn.Linear(9, 1))
    made = optimizer(network.parameters(), lr=0.05, **settings)  # type: ignore[call-arg]
    if fused:
        fuse(made)
        assert all(group["fused"] is True for group in made.param_groups)
    for _ in range(steps):
        made.zero_grad()
        network(torch.ones(4, 5)).square().mean().backward()
        made.step()
    return {"network": network.state_dict(), "optimizer": made.state_dict()}


@pytest.mark.parametrize(("optimizer", "settings"), OPTIMIZERS)
def test_a_fused_step_is_the_same_step(optimizer: type[Optimizer], settings: dict[str, Any]) -> None:
    torch.testing.assert_close(
        trained(True, optimizer, settings)["network"], trained(False, optimizer, settings)["network"]
    )


@pytest.mark.parametrize(("optimizer", "settings"), OPTIMIZERS)
def test_a_run_that_began_without_it_goes_on_without_it(optimizer: type[Optimizer], settings: dict[str, Any]) -> None:
    earlier = trained(False, optimizer, settings)
    again = optimizer(nn.Sequential(nn.Linear(5, 9), nn.ReLU(), nn.Linear(9, 1)).parameters(), lr=0.05, **settings)  # type: ignore[call-arg]
    fuse(again)
    again.load_state_dict(earlier["optimizer"])
    assert all(group["fused"] is None for group in again.param_groups)


@pytest.mark.parametrize("settings", [{"fused": False}, {"foreach": True}, {"capturable": True}])
def test_what_was_asked_for_stays(settings: dict[str, Any]) -> None:
    optimizer = AdamW([nn.Parameter(torch.ones(3))], **settings)
    fuse(optimizer)
    assert not optimizer.param_groups[0]["fused"]


def test_other_optimizers_and_devices_are_left_alone() -> None:
    for weight, kind in ((torch.ones(3), RMSprop), (torch.ones(3, device="meta"), AdamW)):
        optimizer = kind([nn.Parameter(weight)])
        fuse(optimizer)
        assert not optimizer.param_groups[0].get("fused")


def test_every_model_has_it() -> None:
    model = MLP(num_features=2, num_classes=2, optimizer=AdamW)
    assert {group["fused"] for group in model.new_optimizer(model).param_groups} == {True}
    model = MLP(num_features=2, num_classes=2, optimizer=MuonAdamW)
    assert {group.get("fused") for group in model.new_optimizer(model).param_groups} == {None, True}


def test_sharded_weights_are_left_out_also_where_a_run_goes_on_that_did_not_shard_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = SGD([nn.Parameter(torch.ones(3))])
    fuse(whole)
    assert whole.param_groups[0]["fused"]
    monkeypatch.setattr(fused_steps, "is_shard", lambda weight: True)
    sharded = SGD([nn.Parameter(torch.ones(3))])
    fuse(sharded)
    assert not sharded.param_groups[0]["fused"]
    sharded.load_state_dict(whole.state_dict())
    assert not sharded.param_groups[0]["fused"]


@pytest.mark.parametrize(("optimizer", "settings"), [*OPTIMIZERS, (SGD, {"momentum": 0.9, "nesterov": True})])
def test_a_weight_may_have_its_first_gradient_later(optimizer: type[Optimizer], settings: dict[str, Any]) -> None:
    found = []
    for is_fused in (False, True):
        early, late = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
        made = optimizer([early, late], lr=0.1, **settings)  # type: ignore[call-arg]
        if is_fused:
            fuse(made)
        for step in range(4):
            made.zero_grad()
            (early.square().sum() + (late.square().sum() if step > 1 else 0)).backward()
            made.step()
        found.append(torch.cat([early, late]).detach())
    torch.testing.assert_close(*found)
