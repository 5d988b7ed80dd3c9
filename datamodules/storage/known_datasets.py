"""The names of the data sets that a datamodule declares, read from its source: importing it would import torch."""

import ast

from datamodules.storage import catalogue
from datamodules.storage.class_source import attribute

DECLARATIONS = ("embedded", "published")  # those that need no network first


def known_datasets(class_path: str) -> list[str]:
    """The data sets that the datamodule of that class path knows by name, those that need no network first.

    A datamodule declares them as the class attributes `embedded` and `published`: a tuple or dictionary of literal
    names, or a table of `datamodules.storage.catalogue`. Nothing is imported: the class path may be untrusted.
    """
    return [dataset for declaration in DECLARATIONS for dataset in _declared(class_path, declaration)]


def published_datasets(class_path: str) -> list[str]:
    """Those of them that are downloaded."""
    return _declared(class_path, "published")


def _declared(class_path: str, declaration: str) -> list[str]:
    """The names that a class, or the first of its bases that does, declares under an attribute."""
    value = attribute(class_path, declaration)
    if isinstance(value, ast.Name):
        return [*getattr(catalogue, value.id, ())]
    parts = value.keys if isinstance(value, ast.Dict) else getattr(value, "elts", [])
    return [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
