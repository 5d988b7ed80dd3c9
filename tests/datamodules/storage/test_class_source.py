"""Classes as their source declares them."""

import inspect
from pathlib import Path
from typing import Any

import pytest

from datamodules.storage.class_source import constructor_defaults, lineage
from scripts.cli.command_line.classes import class_at, constructor_arguments, default_of
from scripts.cli.command_line.recipes import read_recipe, recipe_names

CLASSES = sorted({read_recipe(name)[part]["class_path"] for name in recipe_names() for part in ("model", "data")})


@pytest.mark.parametrize("class_path", [*CLASSES, "torch.optim.AdamW", "lightning.pytorch.Trainer"])
def test_the_defaults_are_those_of_the_class(class_path: str) -> None:
    cls = class_at(class_path)
    names = constructor_arguments(cls)
    defaults = {name: default_of(cls, name) for name in names if name != "cls"}
    expected = {name: value for name, value in defaults.items() if value is not inspect.Parameter.empty}
    assert {name: constructor_defaults(class_path).get(name, "missing") for name in expected} == expected


@pytest.mark.parametrize("class_path", CLASSES)
def test_the_lineage_is_pythons(class_path: str) -> None:
    declared = [source.node.name for source in lineage(class_path)]
    assert declared == [cls.__name__ for cls in class_at(class_path).__mro__ if cls.__name__ in declared]


def test_a_class_that_is_its_own_base_ends(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "circular_module.py").write_text("class A(B): pass\nclass B(A): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert [source.node.name for source in lineage("circular_module.A")] == ["A", "B"]


@pytest.mark.parametrize("class_path", ["", "no_such.module.A", "..", "datamodules.tabular.NoSuchClass", "A"])
def test_what_has_no_source_has_no_defaults(class_path: str) -> None:
    assert constructor_defaults(class_path) == {}
