"""The command line that keyword arguments of a notebook stand for."""

import json
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from scripts.cli.command_line.recipes import Config
from scripts.cli.errors import UsageError

FLAGS = ("--inexact", "--debug", "--print_config", "--check", "--help_all", "--profile")


def words_of(name: str | None, settings: Config) -> list[str]:
    """The command line equivalent to a recipe's name and these options and sections of options."""
    return [*([] if name is None else [f"--model={name}"]), *_words("--", settings)]


def _words(prefix: str, settings: Config) -> Iterator[str]:
    for key, value in settings.items():
        if isinstance(value, dict) and "class_path" not in value:
            yield from _words(f"{prefix}{key}.", value)
        elif f"{prefix}{key}" in FLAGS:
            yield from [f"--{key}"] if value else []
        elif f"{prefix}{key}" in ("--allow", "--config") and isinstance(value, list | tuple):
            yield from (f"--{key}={each}" for each in value)
        elif value is not None or prefix != "--":  # what is not given is None
            yield f"{prefix}{key}={_word(f'{prefix}{key}', value)}"


def _word(option: str, value: Any) -> str:
    if isinstance(value, str | PurePath):
        return str(value)
    try:
        return json.dumps(value, ensure_ascii=False, default=_plain)
    except TypeError as error:
        raise UsageError(
            f"{option}: expected a plain value, or a class as class_path and init_args ({error})"
        ) from None


def _plain(value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "tolist"):  # numbers of numpy or torch
        return value.tolist()
    raise TypeError(f"got {type(value).__name__}")
