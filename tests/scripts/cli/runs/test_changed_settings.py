"""The settings by which a run differs from its recipe."""

from typing import Any

import pytest
import yaml

from scripts.cli.command_line.recipes import recipe_names
from scripts.cli.runs.changed_settings import changed_settings
from tests.helpers.recorded_runs import configuration


def changed(*words: str) -> dict[str, Any]:
    return changed_settings(yaml.safe_load(configuration(*words)))


@pytest.mark.parametrize("name", ["mlp", "gat", "bert_classifier"])
def test_a_recipe_as_it_is_changes_nothing(name: str) -> None:
    assert changed("--model", name) == {}


@pytest.mark.long
@pytest.mark.parametrize("name", recipe_names())
def test_no_recipe_changes_anything(name: str) -> None:
    assert changed("--model", name) == {}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model.dropout", "0.5"], {"model.dropout": 0.5}),  # of the recipe
        (["--model.num_layers", "3"], {"model.num_layers": 3}),  # of the constructor
        (["--model.warmup", "0.1"], {"model.warmup": 0.1}),  # of a base's
        (["--trainer.gradient_clip_val", "1"], {"trainer.gradient_clip_val": 1}),  # of Lightning's Trainer
        (["--model.optimizer.lr", "0.1"], {"model.optimizer.lr": 0.1}),
        (["--model.optimizer.eps", "1e-6"], {"model.optimizer.eps": 1e-6}),  # of torch's optimizer
        (["--seed_everything", "7"], {"seed_everything": 7}),
        (["--data.split_seed", "3"], {"data.split_seed": 3}),
        (["--averaging.kind", "ema"], {"averaging.kind": "ema"}),  # of a technique, whose decay is as it always is
        (["--data", "wine"], {}),  # which has a column of its own
        (["--data.num_workers", "1", "--timeout", "9"], {}),  # which change no result
    ],
)
def test_what_is_given_is_what_is_changed(words: list[str], expected: dict[str, Any]) -> None:
    assert changed("--model", "mlp", *words) == expected


def test_another_class_has_its_own_defaults() -> None:
    assert changed("--model", "mlp", "--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.1") == {
        "model.optimizer": "torch.optim.SGD",
        "model.optimizer.lr": 0.1,
    }


def test_a_model_without_a_recipe_is_compared_with_the_defaults() -> None:
    config = yaml.safe_load(configuration("--model", "mlp"))
    config["about"]["name"] = "no_recipe"
    found = changed_settings(config)
    assert found["model.hidden_size"] == 128
    assert "model.warmup" not in found


@pytest.mark.parametrize("config", [{}, {"about": 3}, {"model": None, "data": []}, {"about": {"name": ["a"]}, "x": {}}])
def test_whatever_is_in_the_file_is_no_error(config: dict[str, Any]) -> None:
    changed_settings(config)
