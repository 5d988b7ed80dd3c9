"""What a run that is to go on may and may not change."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datamodules.files.paths import user_path
from scripts.cli.errors import UsageError

Config = dict[str, Any]

# Where classes stand now that configurations and checkpoints of earlier runs name elsewhere.
MOVED = {"datamodules.drawing.ImagesToDraw": "datamodules.generation.ImagesToDraw"}

# What changes nothing of what a run computes: where its data is, how it is loaded and known again, what is shown,
# when it is saved.
HARMLESS = (
    "save_every",
    "timeout",
    "data.init_args.root",
    "data.init_args.num_workers",
    "data.init_args.hash_contents",
    "trainer.enable_progress_bar",
    "trainer.profiler",
)


def find_run(path: str) -> Path:
    """The folder of a run to go on with.

    Raises:
        UsageError: there is none, or it is not a run's.
    """
    folder = user_path(path, "--resume")
    if not folder.exists():
        raise UsageError(f"--resume {path}: there is no such run")
    if folder.is_file():
        raise UsageError(
            f"--resume {path}: a file, which may be bare weights; expected the folder of a run, "
            f"such as lightning_logs/gat/version_0"
        )
    if not (folder / "config.yaml").is_file():
        raise UsageError(f"--resume {path}: holds no run: there is no config.yaml in it")
    return folder.resolve()


def differences(before: Config, now: Config) -> list[str]:
    """The settings that are not what they were, but for the harmless ones."""
    old, new = dict(_flat(before)), dict(_flat(now))
    old |= {name: MOVED.get(value, value) for name, value in old.items() if name.endswith(".class_path")}
    names = sorted({*old, *new} - {*HARMLESS})
    short = {name: name.replace(".init_args", "") for name in names}
    return [
        f"--{short[name]} {new.get(name)} (was {old.get(name)})"
        for name in names
        if old.get(name) != new.get(name) and str(old.get(name)) != str(new.get(name))  # devices: 1 and "1" are one
    ]


def _flat(config: Config, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def refuse_changes(changes: list[str], inexact: bool) -> None:
    """Refuse to go on with other settings, unless the user wants it all the same.

    Raises:
        UsageError: with every difference.
    """
    if changes and not inexact:
        raise UsageError(
            f"the run would not go on exactly: {', '.join(changes)}; "
            f"give what it was, or --inexact to go on all the same"
        )
