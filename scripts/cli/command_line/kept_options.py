"""Options of models and their help, kept in files beside the recipes: help and a misspelt option need no torch then."""

import hashlib
import json
import os
import platform
import shutil
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from datamodules.storage.atomic_file import write_file
from scripts.cli.command_line.recipes import RECIPES, ROOT, Request
from scripts.cli.command_line.spellings import proposal
from scripts.cli.errors import UsageError

FOLDER = RECIPES / ".options"
SOURCES = ("lightning_modules", "datamodules", "callbacks", "scripts/cli")  # of which all options are
LIBRARIES = ("torch", "lightning", "jsonargparse")
HELPS = ("--help", "-h", "--help_all")
MOST = 8  # texts of help that are kept of a model


class KeptOptions(NamedTuple):
    """What is known of the options of a model and its data.

    Args:
        sources: a hash of the code that they are of.
        options: all of them.
        linked: arguments of the model that the data states.
        helps: texts of help, by a hash of what was asked for.
    """

    sources: str
    options: list[str]
    linked: list[str]
    helps: dict[str, str]

    def may_have(self, option: str) -> bool:
        """Whether an option is one of these, or may be one of a class that one of these names."""
        parts = option.split(".")
        owners = {".".join(parts[:size]) for size in range(1, len(parts))}
        sections = {each.partition(".")[0] for each in self.options if "." in each}
        return option in ("--", *self.options) or bool((owners - sections) & {*self.options})


def answer(request: Request) -> None:
    """Answer a command line for which what is kept is enough.

    Raises:
        SystemExit: its help is printed.
        UsageError: an option is none of those that are kept.
    """
    kept = _read(request) if _is_ours(request) else None
    if kept is None:
        return
    if {*HELPS} & {*request.arguments}:
        text = kept.helps.get(asked(request))
        if text is None:
            return
        print(text, end="")
        raise SystemExit(0)
    for word in request.arguments:
        option = word.partition("=")[0]
        if option.startswith("--logger."):  # which has none, and of which the parser says what takes their place
            continue
        if option.startswith("--") and not kept.may_have(option.removesuffix("+")):
            raise UsageError(unknown(option, kept.options, kept.linked))


def unknown(option: str, options: list[str], linked: list[str]) -> str:
    """The error for an option that there is not.

    Args:
        option: what was given.
        options: all that there are.
        linked: arguments of the model that the data states.
    """
    if option.removeprefix("--model.") in linked:
        return f"{option}: comes from the data; leave it out"
    return f"{option}: no such option{proposal(option, options)} (--help_all shows them all)"


def keep(request: Request, options: list[str], linked: list[str], helps: dict[str, str] | None = None) -> None:
    """Keep the options of a request's model and data, and texts of help by what was `asked` for."""
    if not _is_ours(request):
        return
    kept = _read(request)
    if kept is not None and helps is None:
        return
    newest = [*({} if kept is None else kept.helps).items(), *(helps or {}).items()][-MOST:]
    content = json.dumps(KeptOptions(_sources(), options, linked, dict(newest))._asdict()).encode()
    with suppress(OSError):  # where the project cannot be written nothing is kept
        FOLDER.mkdir(exist_ok=True)
        write_file(_path(request), lambda file: file.write(content))


def _is_ours(request: Request) -> bool:
    """Whether all code that decides about the options is the project's, and none is that of an earlier run."""
    packages = {path.partition(".")[0] for path in (request.model, request.data)}
    return packages <= {"lightning_modules", "datamodules"} and request.resume is None


def _path(request: Request) -> Path:
    return FOLDER / f"{request.model}-{request.data}.json"


def _read(request: Request) -> KeptOptions | None:
    """What is kept; None if nothing is, or if the code has changed since."""
    with suppress(OSError, ValueError, TypeError):
        kept = KeptOptions(**json.loads(_path(request).read_bytes()))
        if kept.sources == _sources():
            return kept
    return None


def _sources() -> str:
    """A hash of when the code was written, and of the libraries' versions."""
    found: list[Any] = [platform.python_version()]
    for library in LIBRARIES:
        with suppress(PackageNotFoundError):
            found.append(version(library))
    for source in SOURCES:
        for folder, folders, names in os.walk(ROOT / source):
            folders.sort()
            for name in sorted(names):
                if name.endswith(".py"):
                    state = os.stat(os.path.join(folder, name))
                    found.append((folder, name, state.st_size, state.st_mtime_ns))
    return _hash(found)


def asked(request: Request) -> str:
    """A hash of all that the text of a request's help depends on, but for the code."""
    screen = (shutil.get_terminal_size().columns, sys.stdout.isatty(), os.environ.get("NO_COLOR"))
    return _hash([request.name, request.about, request.defaults, request.arguments, screen])


def _hash(value: Any) -> str:
    return hashlib.sha256(repr(value).encode("utf-8", "backslashreplace")).hexdigest()[:32]
