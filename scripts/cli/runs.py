"""A run's folder: claimed for itself, found again, and the results it holds."""

import json
from pathlib import Path
from typing import Any

from callbacks.whole_file import whole_file
from scripts.cli.errors import UsageError
from scripts.cli.recipes import ROOT

LOGS = ROOT / "lightning_logs"


def claim(logs: Path, name: str) -> Path:
    """Make the next free folder `<logs>/<name>/version_N`; two runs that start at once get one each.

    Raises:
        UsageError: nothing can be written there.
    """
    parent = logs / name
    try:
        parent.mkdir(parents=True, exist_ok=True)
        taken = [int(folder.name[8:]) for folder in parent.glob("version_*") if folder.name[8:].isdecimal()]
        number = max(taken, default=-1) + 1
        while True:
            folder = parent / f"version_{number}"
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
            else:
                return folder
    except OSError as error:
        raise UsageError(f"--logs {logs}: cannot be written ({error.strerror})") from None


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there complete or not at all."""
    with whole_file(path) as file:
        file.write(text.encode())


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file whole; numbers that JSON has no word for become null."""
    write_whole(path, json.dumps(_finite(content), indent=2, ensure_ascii=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, float) and value - value != 0:
        return None
    return value


def find_checkpoint(path: Path) -> Path:
    """The checkpoint that a path means: itself, or the best one of a run's folder.

    Raises:
        UsageError: there is none.
    """
    if path.is_file():
        return path
    if not path.exists():
        raise UsageError(f"--checkpoint {path}: there is no such file or run")
    folder = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    best = sorted(folder.glob("best*.ckpt"))
    last = sorted(folder.glob("last*.ckpt"))
    if not best and not last:
        raise UsageError(f"--checkpoint {path}: no checkpoint in it")
    return (best or last)[0]
