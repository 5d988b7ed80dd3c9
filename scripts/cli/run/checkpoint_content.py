"""The content of a checkpoint besides weights, checked before any of it is used: anybody may have written it."""

from typing import Any

from scripts.cli.errors import UsageError

CONTENT: dict[tuple[str, ...], type] = {
    ("config", "about", "name"): str,
    ("config", "model", "class_path"): str,
    ("config", "model", "init_args"): dict,
    ("config", "data", "class_path"): str,
    ("config", "data", "init_args"): dict,
    ("config", "trainer"): dict,
    ("state_dict",): dict,
}


def check_content(checkpoint: dict[str, Any], where: str) -> None:
    """Refuse a checkpoint that does not describe a run.

    Args:
        checkpoint: as it was read, and nothing of it used so far.
        where: the option and the file.

    Raises:
        UsageError: the message names what is missing or of another type.
    """
    if "config" not in checkpoint:
        raise UsageError(f"{where}: holds no configuration, which scripts/fit.py saves")
    for path, expected in CONTENT.items():
        value: Any = checkpoint
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if not isinstance(value, expected):
            raise UsageError(f"{where}: {'.'.join(path)}: expected {expected.__name__}, got {type(value).__name__}")
    if not isinstance(checkpoint.get("rebuild", {}), dict):
        raise UsageError(f"{where}: rebuild: expected dict, got {type(checkpoint['rebuild']).__name__}")
