"""Every datamodule of the project, as its folder lists them: a new one is tested unasked."""

import importlib
import inspect
from pathlib import Path
from typing import Any

from torch import Tensor

import datamodules
from datamodules.base import DataModule

_FILES = sorted(Path(datamodules.__path__[0]).glob("*.py"))
_CLASSES = (
    cls
    for module in (importlib.import_module(f"datamodules.{file.stem}") for file in _FILES)
    for _, cls in inspect.getmembers(module, inspect.isclass)
    if cls.__module__ == module.__name__ and issubclass(cls, DataModule)
)


def _is_abstract(cls: type[DataModule]) -> bool:
    return any(getattr(getattr(cls, name), "__isabstractmethod__", False) for name in dir(cls))


DATAMODULES: list[type[DataModule]] = [cls for cls in _CLASSES if not _is_abstract(cls)]


def is_plain(value: Any) -> bool:
    """Whether a checkpoint that is loaded with `weights_only=True` can contain a value."""
    if isinstance(value, dict):
        return all(type(key) is str and is_plain(inner) for key, inner in value.items())
    if type(value) in (list, tuple):
        return all(map(is_plain, value))
    return value is None or type(value) in (str, int, float, bool, Tensor)
