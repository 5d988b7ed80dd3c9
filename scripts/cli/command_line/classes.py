"""Classes by their paths, and what their constructors take."""

import importlib
import inspect
from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule

from scripts.cli.errors import UsageError


def class_at(path: str) -> Any:
    """Import the class that a path such as `lightning_modules.gat.GAT` names.

    Raises:
        UsageError: there is none.
    """
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"class_path {path}: cannot be imported ({error})") from None


def class_of(path: str, base: type) -> Any:
    """The class that the path names, which must be derived from another.

    Raises:
        UsageError: it is anything else, which must not be called.
    """
    found = class_at(path)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise UsageError(f"class_path {path}: expected a {base.__name__}, got {found!r}")
    return found


def constructor_arguments(cls: type) -> set[str]:
    """The names that a class's constructor accepts, its bases' too where it passes `**kwargs` on."""
    names: set[str] = set()
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(base.__init__).parameters.values()  # type: ignore[misc]
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names - {"self"}


def default_of(cls: type, name: str) -> Any:
    """The default of a constructor's argument, the bases' where it is passed on."""
    for base in cls.__mro__:
        parameter = inspect.signature(base.__init__).parameters.get(name)  # type: ignore[misc]
        if parameter is not None:
            return parameter.default
    raise LookupError(f"{cls.__name__} takes no {name}")


def linked(model: type[LightningModule], data: type[LightningDataModule]) -> list[str]:
    """The arguments of the model that the data states: sizes, class names, scales."""
    provides: tuple[str, ...] = getattr(data, "provides", ())
    return [name for name in provides if name in constructor_arguments(model)]
