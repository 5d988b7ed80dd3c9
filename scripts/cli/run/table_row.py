"""What distinguishes a run from others: model, data, seed, and the settings that the recipe has otherwise."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from callbacks.loggers.metadata import settings
from scripts.cli.command_line.recipes import Config, Request, read_yaml
from scripts.cli.errors import UsageError
from scripts.cli.runs.changed_settings import changed_settings
from scripts.cli.sweep.plan import SweepPlan
from scripts.cli.sweep.search_space import RATE

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
    return first | usual | {name: now.get(name, UNSET) for name in changed_settings(config)}


def compared(request: Request) -> list[str]:
    """The settings that are most often changed, and so are columns of every run: else the others had empty cells.

    They are the batch size, the number of epochs, and what the recipe has a sweep search: the learning rate by default.
    """
    return ["data.batch_size", "trainer.max_epochs", *map(_short, request.about.get("sweep") or [RATE])]


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
