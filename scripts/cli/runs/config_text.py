"""The configuration of a run, read fast: a thousand files in a fifth of a second, for which YAML takes three."""

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from datamodules.errors import UserError
from datamodules.files.paths import regular
from scripts.cli.command_line.recipes import Config, Loader, read_yaml

LINE = re.compile(r"( *)(?:([^\W\d][\w.]*):(?: (.*))?|- (.*))")
WORDS = {"null", "true", "false", "yes", "no", "on", "off"}  # which YAML would not read as a key's text
STARTS_MORE = ("|", ">", "&", "*", "!", "- ", "? ")  # of a value that goes on, or means something elsewhere


class _OtherYAMLError(Exception):
    """A line that a run does not write, or of more than a key and a value."""


def read_config(path: Path) -> Config:
    """The content of a `config.yaml`.

    Raises:
        UsageError: it is not readable, or no YAML mapping.
    """
    try:
        return parse(regular(path).read_text(encoding="utf-8"))
    except (OSError, UserError, ValueError, _OtherYAMLError):
        return read_yaml(path)


def parse(text: str) -> Config:
    """The settings in a text of nested `key: value` lines and lists of values, as `dump` writes them.

    Raises:
        _OtherYAMLError: it has something else in it.
    """
    content: Config = {}
    sections: list[tuple[int, Config]] = [(0, content)]  # those that are open, each with its indent
    opened: tuple[int, str] | None = None  # the newest key without a value
    values: list[Any] | None = None  # of a list under it
    for line in text.splitlines():
        indent, key, value, has_value = _line(line)
        if key is None:
            if values is None:
                if opened is None or indent < opened[0]:
                    raise _OtherYAMLError
                values = sections[-1][1][opened[1]] = []
                opened = None
            values.append(value)
            continue
        values = None
        if opened is not None:
            if indent <= opened[0]:
                raise _OtherYAMLError
            section: Config = {}
            sections[-1][1][opened[1]] = section
            sections.append((indent, section))
            opened = None
        while indent < sections[-1][0]:
            sections.pop()
        if indent != sections[-1][0] or key in sections[-1][1]:
            raise _OtherYAMLError
        if has_value:
            sections[-1][1][key] = value
        else:
            opened = indent, key
    if opened is not None or not content:
        raise _OtherYAMLError
    return content


@lru_cache(maxsize=10_000)  # the lines of one run are nearly those of the next
def _line(line: str) -> tuple[int, str | None, Any, bool]:
    """The indent, the key and the value of a line; no key for a value of a list."""
    found = LINE.fullmatch(line)
    if found is None or (found[2] or "").lower() in WORDS:
        raise _OtherYAMLError
    text = found[3] if found[2] else found[4]
    return len(found[1]), found[2], _value(text) if text is not None else None, text is not None


def _value(text: str) -> Any:
    if text.startswith(STARTS_MORE):
        raise _OtherYAMLError
    try:
        value = yaml.load(text, Loader)
    except (yaml.YAMLError, ValueError):  # such as the first line of several
        raise _OtherYAMLError from None
    if isinstance(value, dict | list) and value:
        raise _OtherYAMLError
    return value
