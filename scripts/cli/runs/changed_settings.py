"""The settings of a run that differ from its recipe, and from the defaults where the recipe says nothing."""

import ast
from functools import cache
from typing import Any

from datamodules.storage.class_source import constructor_defaults, parsed
from scripts.cli.command_line.recipes import Config, for_data, read_recipe, recipe_names, sections
from scripts.cli.command_line.resume_changes import HARMLESS, flat
from scripts.cli.errors import UsageError

TECHNIQUES = "scripts.cli.command_line.techniques"
TRAINER = "lightning.pytorch.Trainer"
# What the command line sets where Lightning has another default, and its options outside the sections.
OWN_DEFAULTS = {"seed_everything": 0, "trainer.devices": 1, "trainer.precision": "auto"}
SHOWN_ELSEWHERE = ("about.", "extended.", "data.dataset", "model.class_path", "data.class_path")


def changed_settings(config: Config) -> dict[str, Any]:
    """What differs from the recipe, by the names of the options.

    Args:
        config: of a run, in LightningCLI's form.
    """
    about, data, model = (section(config, name) for name in ("about", "data", "model"))
    arguments = section(data, "init_args")
    dataset, pretrained = arguments.get("dataset"), section(model, "init_args").get("pretrained")
    expected = _of_recipe(
        str(about.get("name")), None if dataset is None else str(dataset), pretrained is not None
    ) | _of_techniques(tuple(config))
    now = short_names(config)
    classes = {name.removesuffix("class_path"): value for name, value in now.items() if name.endswith(".class_path")}
    replaced = tuple(
        prefix for prefix, path in classes.items() if path != expected.get(f"{prefix}class_path", path)
    )  # whose classes' settings mean nothing to those that took their places
    changed = {}
    for name, value in now.items():
        if name in expected and (not name.startswith(replaced) or name.endswith(".class_path")):
            default = expected[name]
        else:
            prefix, _, argument = name.rpartition(".")
            default = constructor_defaults(str(classes.get(f"{prefix}.", ""))).get(argument) if prefix else None
        if value != default and _is_shown(name) and not same(value, default):
            changed[name.removesuffix(".class_path")] = value
    return changed


@cache
def _is_shown(name: str) -> bool:
    """Whether a setting may change results and has no column of its own."""
    return name not in {each.replace(".init_args", "") for each in HARMLESS} and not name.startswith(SHOWN_ELSEWHERE)


def same(value: Any, other: Any) -> bool:
    """Whether two settings are one, as a list and a tuple may be."""
    return bool(value == other) or (
        str(value) == str(other) if not isinstance(value, list) else value == _listed(other)
    )


def _listed(value: Any) -> Any:
    return [_listed(each) for each in value] if isinstance(value, list | tuple) else value


def section(config: Config, name: str) -> Config:
    """A section of a configuration; empty where it is missing, or something else."""
    found = config.get(name)
    return found if isinstance(found, dict) else {}


def short_names(config: Config) -> dict[str, Any]:
    """Every setting by the name of its option; whatever is empty has none."""
    return {_short(name): value for name, value in flat(config)}


@cache
def _short(name: str) -> str:
    return name.replace(".init_args", "")


@cache
def _of_recipe(name: str, dataset: str | None, pretrained: bool) -> dict[str, Any]:
    """The settings of a recipe for a data set, over those that all runs have by default."""
    trainer = {f"trainer.{key}": value for key, value in constructor_defaults(TRAINER).items()}
    if name not in recipe_names():
        return trainer | OWN_DEFAULTS
    try:
        paths, settings = sections(read_recipe(name), f"recipe {name}")
        settings = for_data(settings, settings.pop("about", None) or {}, dataset, pretrained)
        classes = {f"{part}.class_path": path for part, path in paths.items()}
        return trainer | OWN_DEFAULTS | short_names(settings) | classes
    except (UsageError, AttributeError, TypeError):  # the user's own, which is being written
        return trainer | OWN_DEFAULTS


@cache
def _of_techniques(names: tuple[str, ...]) -> dict[str, Any]:
    """The defaults of the techniques among the sections of a configuration."""
    found: dict[str, Any] = {}
    for node in parsed(TECHNIQUES):
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict):
            for key, value in zip(node.value.keys, node.value.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in names and isinstance(value, ast.Name):
                    defaults = constructor_defaults(f"{TECHNIQUES}.{value.id}")
                    found |= {f"{key.value}.{name}": default for name, default in defaults.items()}
    return found
