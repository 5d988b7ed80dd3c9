"""Which classes a configuration may name. To import a module is to run it, so a name is judged before it is looked up.

Two lines of defence: `check_names` reads the plain configuration and says what is wrong in our words; `only_trusted`
has jsonargparse refuse every other name at the one place where it imports, wherever a value may have come from.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import set_parsing_settings

from scripts.cli.errors import UsageError
from scripts.cli.recipes import Line, Loader

OWN = ("lightning_modules", "datamodules", "callbacks")
LIBRARIES = ("lightning", "torch", "torch_geometric", "torchmetrics", "torchvision", "transformers")

_allowed_before: set[str] = set()


def allowed_by_user(line: Line) -> list[str]:
    """What `--allow` names; takes it from the line.

    Modules allowed by name may stand in the working folder, where no other is looked for.

    Raises:
        UsageError: it is not the dotted name of a module or class.
    """
    names = list(line.values("--allow"))
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise UsageError(
                f"--allow {name}: expected the dotted name of a module or a class, such as my_package.MyModel"
            )
        if name.split(".")[0] == "jsonargparse":
            raise UsageError(f"--allow {name}: expected another module than the one that holds to this list")
    if names and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    return names


def is_trusted(name: str, allowed: Iterable[str]) -> bool:
    """Whether the dotted name is one of those, or stands below one."""
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in (*OWN, *LIBRARIES, *allowed))


def refusal(name: str) -> str:
    """What is said of a name that is not trusted."""
    return (
        f"{name} is neither of this project nor of its libraries ({', '.join(LIBRARIES)}); "
        f"if you trust its code, add --allow {name}"
    )


def check_names(where: str, value: Any, allowed: Iterable[str]) -> None:
    """Refuse every `class_path` in a plain value, however deep, that names what is not trusted.

    Raises:
        UsageError: one does.
    """
    for place, name in _class_paths(where, value):
        if "." in name and not is_trusted(name, allowed):  # a bare name is looked for among what is imported already
            raise UsageError(f"{place}: {refusal(name)}")


def _class_paths(where: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        if isinstance(value.get("class_path"), str):
            yield where, value["class_path"]
        for key, item in value.items():
            yield from _class_paths(where if key == "init_args" else f"{where}.{key}".lstrip("."), item)
    elif isinstance(value, list):
        for item in value:
            yield from _class_paths(where, item)


def check_words(words: list[str], allowed: Iterable[str]) -> None:
    """Refuse an option that names, outright or within braces, a class that is not trusted.

    Raises:
        UsageError: one does.
    """
    for before, word in zip(["", *words], words, strict=False):
        option, given, value = word.partition("=") if word.startswith("--") else (before, "=", word)
        if not given or not option.startswith("--"):
            continue
        if option.endswith((".class_path", ".help")):
            check_names(option.removesuffix(".class_path"), {"class_path": value}, allowed)
        elif "class_path" in value:
            try:
                check_names(option, yaml.load(value, Loader), allowed)
            except yaml.YAMLError:
                continue  # the parser will say so


def only_trusted(allowed: Iterable[str]) -> None:
    """Have jsonargparse import nothing else that a value names, and build no class where any value would do."""
    names = list(allowed)
    _allowed_before.update(names)
    set_parsing_settings(
        import_path_denylist=["*", *_allowed_before],  # an earlier request in this process may have allowed more
        import_path_allowlist=[*OWN, *LIBRARIES, *(name for name in _allowed_before if is_trusted(name, names))],
        instantiate_subclass_spec_in_any=False,
    )


def check_kinds(where: str, value: Any, allowed: Iterable[str]) -> None:
    """Refuse a function in a parsed configuration: of the libraries' names, only those of classes are trusted.

    Raises:
        UsageError: there is one.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            check_kinds(where if key == "init_args" else f"{where}.{key}".lstrip("."), item, allowed)
    elif isinstance(value, list | tuple):
        for item in value:
            check_kinds(where, item, allowed)
    elif callable(value):
        name = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__name__)}"
        if not any(name == prefix or name.startswith(f"{prefix}.") for prefix in allowed):
            raise UsageError(f"--{where}: expected the name of a class, got the function {name}")
