"""What distinguishes a run from others: model, data, seed, and the settings that the recipe has otherwise."""

import re
from collections.abc import Iterator
from contextlib import suppress
from inspect import Parameter
from pathlib import Path
from typing import Any

from callbacks.loggers.metadata import settings
from scripts.cli.command_line.classes import class_at, constructor_arguments, default_of
from scripts.cli.command_line.options import build_parser, plain, resolved
from scripts.cli.command_line.recipes import Config, Request, read_yaml, recipe_names, resolve
from scripts.cli.command_line.resume_changes import HARMLESS
from scripts.cli.command_line.techniques import TECHNIQUES
from scripts.cli.errors import UsageError
from scripts.cli.sweep.plan import SweepPlan
from scripts.cli.sweep.search_space import RATE

NAMED = ("about.name", "data.dataset", "seed_everything")  # columns of their own
UNSET = "null"  # as an option has it


def row_of(request: Request, config: Config, logs: Path) -> dict[str, Any]:
    """The run's row in a table of runs.

    Args:
        request: of the run.
        config: its resolved configuration.
        logs: the folder of its runs: of a trial of a sweep its own, beside which the sweep's plan lies.
    """
    data = config["data"]
    first = {
        "model": config["about"]["name"],
        "data": str(data["init_args"].get("dataset") or data["class_path"].rpartition(".")[2]),
        "seed": config["seed_everything"],
    }
    now = settings(config)
    usual = {name: now[name] for name in [*compared(request), *searched_in(logs)] if name in now}
    chosen = request.arguments or request.given  # without either there is no difference, which takes long to find
    return first | usual | (choices(config, recipe_config(request, config)) if chosen else {})


def compared(request: Request) -> list[str]:
    """The settings that are most often changed, and so are columns of every run: else the others had empty cells.

    They are the batch size, the number of epochs, and what the recipe has a sweep search: the learning rate by default.
    """
    return ["data.batch_size", "trainer.max_epochs", *map(_short, request.about.get("sweep") or [RATE])]


def recipe_config(request: Request, config: Config) -> Config:
    """What the configuration would be if nothing but the model and the data had been chosen.

    Of a model without a recipe: the defaults of its constructor and its data's.
    """
    dataset = config["data"]["init_args"].get("dataset")
    given: Config = {part: _required(config[part]) for part in ("model", "data")}
    if dataset:
        given["data"]["dataset"] = dataset
    if request.name in recipe_names():
        words = [f"--model={request.name}", *([f"--data={dataset}"] if dataset else [])]
        if config["model"]["init_args"].get("pretrained"):
            words.append("--model.pretrained=")  # for which a recipe may have settings of its own
        recipe = resolve(words)
        if (recipe.model, recipe.data) == (request.model, request.data):
            given = recipe.defaults
    parser = build_parser(request)  # a new one: of the run's own, what was given has become defaults
    options = parser.read(given, [])
    techniques = {name: section for name, section in plain(options).items() if name in TECHNIQUES}
    return resolved(request, options) | techniques


def _required(section: Config) -> Config:
    """The settings of a class for which it has no default."""
    cls, settings_of = class_at(section["class_path"]), section["init_args"]
    names = settings_of.keys() & {*constructor_arguments(cls)}
    return {name: settings_of[name] for name in sorted(names) if default_of(cls, name) is Parameter.empty}


def choices(config: Config, recipe: Config) -> dict[str, Any]:
    """The settings that differ from the recipe's, except those that change no result.

    Of a class that is not the recipe's: its name, and what differs from the recipe or its own defaults.
    """
    now, before = settings(config), settings(recipe)
    settled = {*NAMED, *map(_short, HARMLESS)}
    paths = {name: path for name, path in _classes(config) if now[name] != before.get(name)}
    found = {}
    for name in sorted({*now, *(name for name in before if name.split(".")[0] in config)} - settled):
        parent, _, argument = name.rpartition(".")
        usual = before.get(name, UNSET)
        if parent in paths:
            if name not in now:  # which this class does not have
                continue
            if name not in before:
                usual = _default(paths[parent], argument)
        value = now.get(name, UNSET)
        if value != usual and str(value) != str(usual) and not name.startswith("extended."):
            found[name] = value
    return found


def _classes(config: Config, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Each class within a section, by the name that `settings` has for it, with its path."""
    for key, value in config.items():
        name = prefix if key == "init_args" else f"{prefix}.{key}" if prefix else key
        if isinstance(value, dict):
            yield from _classes(value, name)
        elif key == "class_path" and "." in prefix:
            yield prefix, value


def _default(path: str, argument: str) -> Any:
    with suppress(LookupError, UsageError):
        value = plain(default_of(class_at(path), argument))
        return UNSET if value is None else value
    return UNSET


def searched_in(logs: Path) -> list[str]:
    """The settings that a sweep searches, which all its trials have in the table, of the folder of a trial's runs."""
    plan = logs.parent / SweepPlan.file_name
    if not re.fullmatch(r"trial_\d+", logs.name) or not plan.is_file():
        return []
    with suppress(UsageError):  # a plan that was changed meanwhile is the sweep's affair
        space = read_yaml(plan).get("space")
        return [_short(str(name)) for name in space] if isinstance(space, dict) else []
    return []


def _short(setting: str) -> str:
    """A setting as `settings` names it."""
    return setting.replace(".init_args", "")
