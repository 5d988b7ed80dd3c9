"""Which weights decay, and which learn more slowly."""

from typing import Any

import pytest
import torch
from torch import nn

from lightning_modules.cnn import CNN
from lightning_modules.inception import Inception
from lightning_modules.mlp import MLP
from lightning_modules.optim.parameter_groups import head_of, parameter_groups
from lightning_modules.resnet import ResNet
from scripts.cli.command_line.recipes import recipe_names, resolve
from scripts.cli.run.experiment import Experiment
from scripts.cli.run.library_messages import quiet


def cnn(optimizer: Any = torch.optim.AdamW) -> CNN:
    return CNN(1, 8, 3, optimizer=optimizer)


def optimizer_of(model: Any) -> torch.optim.Optimizer:
    return model.optimizer_of(model)


def by_name(model: nn.Module, optimizer: torch.optim.Optimizer, setting: str) -> dict[str, float]:
    names = {id(weight): name for name, weight in model.named_parameters()}
    return {names[id(weight)]: group[setting] for group in optimizer.param_groups for weight in group["params"]}


def test_biases_and_norms_do_not_decay() -> None:
    model = cnn(lambda weights: torch.optim.AdamW(weights, weight_decay=0.1))
    decay = by_name(model, optimizer_of(model), "weight_decay")
    assert decay.keys() == dict(model.named_parameters()).keys()
    assert decay["blocks.0.0.weight"] == decay["head.3.weight"] == 0.1
    norms = {f"blocks.{block}.1.{name}" for block in range(3) for name in ("weight", "bias")}
    assert {name for name, value in decay.items() if value == 0} == {*norms, "head.3.bias"}


def test_a_scale_that_gets_no_gradient_keeps_its_size() -> None:
    model = cnn(lambda weights: torch.optim.AdamW(weights, lr=0.1, weight_decay=0.5))
    optimizer = optimizer_of(model)
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    optimizer.step()
    kept = {name for name, weight in model.named_parameters() if torch.equal(weight, before[name])}
    assert kept == {name for name, weight in before.items() if weight.dim() < 2}


def test_without_decay_there_is_one_group_which_l_bfgs_needs() -> None:
    for optimizer in (torch.optim.Adam, torch.optim.LBFGS):
        assert len(optimizer_of(cnn(optimizer)).param_groups) == 1


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_the_backbone_has_a_fraction_of_the_rate_with_any_schedule(schedule: Any) -> None:
    model = CNN(1, 8, 3, optimizer=lambda weights: torch.optim.AdamW(weights, lr=0.2), schedule=schedule, warmup=0.5)
    model.backbone_rate = 0.1
    model.trainer = type("Ten", (), {"estimated_stepping_batches": 10})()
    made = model.optimizer_of(model)
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    for step in range(9):
        rates = by_name(model, optimizer, "lr")
        head = rates["head.3.weight"]
        assert head == rates["head.3.bias"] > 0
        assert all(rates[name] == pytest.approx(0.1 * head) for name in rates if name.startswith("blocks.")), step
        optimizer.step()
        schedule.step()


def test_weights_that_two_layers_share_are_in_one_group() -> None:
    layers = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5, bias=False))
    layers[1].weight = layers[0].weight
    groups = parameter_groups(layers, [layers[1]], {"lr": 1.0, "weight_decay": 0.1}, 0.1)
    assert [len(group["params"]) for group in groups] == [1]
    assert "lr" not in groups[0]  # the head's


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (lambda: cnn(), ["head"]),
        (lambda: ResNet(1, 8, 3), ["network.fc"]),
        (lambda: Inception(1, 8, 3), ["network.fc", "network.aux1", "network.aux2"]),
        (lambda: MLP(num_features=2, num_classes=3), ["network.6"]),
    ],
)
def test_finds_the_head(model: Any, expected: list[str]) -> None:
    made = model()
    found = {id(layer) for layer in head_of(made, made.head_names)}
    assert sorted(name for name, layer in made.named_modules() if id(layer) in found) == sorted(expected)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        *((name, []) for name in recipe_names()),
        ("bert_classifier", ["--lora.rank", "2"]),
        ("cnn", ["--finetuning.freeze_epochs", "1", "--finetuning.backbone_rate", "0.1"]),
    ],
)
def test_of_every_model_all_but_biases_and_norms_decays_and_each_weight_is_trained_once(
    name: str, words: list[str]
) -> None:
    quiet()
    decaying = ["--model.optimizer", "torch.optim.AdamW", "--model.optimizer.weight_decay", "0.1"]
    request = resolve(["--model", name, *decaying, "--model.schedule", "constant", "--model.warmup", "0", *words])
    model = Experiment(request).build().model
    made: Any = model.configure_optimizers()
    groups = [group for one in (made if isinstance(made, list) else [made]) for group in one.param_groups]
    names = {id(weight): name for name, weight in model.named_parameters()}
    found = [(names[id(weight)], group["weight_decay"]) for group in groups for weight in group["params"]]
    bare = {
        f"{prefix}.{own}"
        for prefix, module in model.named_modules()
        for own, _ in module.named_parameters(recurse=False)
        if "Norm" in type(module).__name__ or own.startswith("bias") or own.endswith("bias")
    }
    assert len(found) == len({*found})
    assert {name for name, weight in model.named_parameters() if weight.requires_grad} <= dict(found).keys()
    assert {name for name, decay in found if decay == 0} == bare & dict(found).keys()
