"""The settings that a resumed run may change, and those that it may not."""

from pathlib import Path
from typing import Any

from datamodules.files.paths import user_path
from scripts.cli.errors import UsageError

Config = dict[str, Any]

# Class paths in configurations and checkpoints of earlier runs, and what they are now.
MOVED = {"datamodules.drawing.ImagesToDraw": "datamodules.generation.ImagesToDraw"}

# Settings that change no result: where the data is, how it is loaded and identified, what is displayed, when the run
# is saved.
HARMLESS = (
    "save_every",
    "checkpoint.keep",
    "checkpoint.every_epoch",
    "logger",
    "pictures",
    "lang",
    "baselines",
    "timeout",
    "data.init_args.root",
    "data.init_args.num_workers",
    "data.init_args.hash_contents",
    "trainer.enable_progress_bar",
    "trainer.profiler",
)


def find_run(path: str) -> Path:
    """The folder of a run to resume.

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
    if not user_path(str(folder / "config.yaml"), "--resume").is_file():
        raise UsageError(f"--resume {path}: holds no run: there is no config.yaml in it")
    return folder.resolve()


def check_settings(earlier: Config | None, now: Config, inexact: bool) -> None:
    """Refuse other settings than the run had.

    Args:
        earlier: the run's; None for a new one, which may have any.
        now: those that were given.
        inexact: whether other settings are accepted.

    Raises:
        UsageError: with every difference.
    """
    if earlier is not None:
        refuse_changes(differences(earlier, now), inexact)


def differences(before: Config, now: Config) -> list[str]:
    """The settings that have changed, except the harmless ones."""
    old, new = dict(flat(before)), dict(flat(now))
    old |= {name: MOVED.get(value, value) for name, value in old.items() if name.endswith(".class_path")}
    names = sorted({*old, *new} - {*HARMLESS})
    short = {name: name.replace(".init_args", "") for name in names}
    return [
        f"--{short[name]} {new.get(name)} (was {old.get(name)})"
        for name in names
        if old.get(name) != new.get(name)
        and not _is_longer(name, old, new)
        and str(old.get(name)) != str(new.get(name))  # devices: 1 and "1" are one
        and (name in old or not _is_new(name, new))
    ]


def is_longer(earlier: Config | None, now: Config) -> bool:
    """Whether a run is to have more epochs or steps than it had."""
    old, new = (earlier or {}).get("trainer") or {}, now["trainer"]
    return any(_is_longer(name, old, new) for name in ("max_epochs", "max_steps"))


def _is_longer(name: str, old: Config, new: Config) -> bool:
    before, now = old.get(name), new.get(name)
    limits = name.removeprefix("trainer.") in ("max_epochs", "max_steps")
    return limits and isinstance(before, int) and isinstance(now, int) and before > 0 and (now > before or now == -1)


def _is_new(name: str, now: Config) -> bool:
    """Whether a setting that a run lacks is an option of a later version, which has its default."""
    part, _, argument = name.partition(".init_args.")
    if not argument or "." in argument or part not in ("model", "data"):
        return False
    from scripts.cli.command_line.classes import class_at, default_of

    return bool(default_of(class_at(now[f"{part}.class_path"]), argument) == now[name])


def flat(config: Config, prefix: str = "") -> list[tuple[str, Any]]:
    """Every setting that is no section, by its dotted name."""
    found: list[tuple[str, Any]] = []
    for key, value in config.items():
        if isinstance(value, dict) and value:
            found += flat(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value))
    return found


def refuse_changes(changes: list[str], inexact: bool) -> None:
    """Refuse to resume with other settings, unless the user insists.

    Raises:
        UsageError: with every difference.
    """
    if changes and not inexact:
        raise UsageError(
            f"the run would not be resumed exactly: {', '.join(changes)}; "
            f"give what it was, or --inexact to resume it all the same"
        )
