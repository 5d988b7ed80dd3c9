"""The names of the data sets that a datamodule declares, read from its source: importing it would import torch."""

import ast
import sys
from functools import cache
from pathlib import Path

from datamodules.storage import catalogue

PROJECT = Path(__file__).resolve().parents[2]  # an editable install may be found without being on the path
DECLARATIONS = ("embedded", "published")  # those that need no network first


def known_datasets(class_path: str) -> list[str]:
    """The data sets that the datamodule of that class path knows by name, those that need no network first.

    A datamodule declares them as the class attributes `embedded` and `published`: a tuple or dictionary of literal
    names, or a table of `datamodules.storage.catalogue`. Nothing is imported: the class path may be untrusted.
    """
    module, _, name = class_path.rpartition(".")
    return [dataset for attribute in DECLARATIONS for dataset in _declared(module, name, attribute)]


def published_datasets(class_path: str) -> list[str]:
    """Those of them that are downloaded."""
    module, _, name = class_path.rpartition(".")
    return _declared(module, name, "published")


def _declared(module: str, name: str, attribute: str) -> list[str]:
    """The names that a class, or the first of its bases that does, declares under an attribute."""
    content = _parsed(module)
    cls = next((node for node in content if isinstance(node, ast.ClassDef) and node.name == name), None)
    if cls is None:
        return []
    for node in cls.body:
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        if any(isinstance(target, ast.Name) and target.id == attribute for target in targets):
            return _names_in(node.value)  # type: ignore[attr-defined]
    imported = {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in content
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    bases = [base.id for base in cls.bases if isinstance(base, ast.Name)]
    found = (_declared(*imported.get(base, (module, base)), attribute) for base in bases)
    return next(filter(None, found), [])


def _names_in(value: ast.expr) -> list[str]:
    if isinstance(value, ast.Name):
        return [*getattr(catalogue, value.id, ())]
    parts = value.keys if isinstance(value, ast.Dict) else getattr(value, "elts", [])
    return [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]


@cache
def _parsed(module: str) -> list[ast.stmt]:
    """The statements of a module's source; none where it has none."""
    parts = module.split(".")
    if all(part.isidentifier() for part in parts):
        for folder in (PROJECT, *map(Path, sys.path)):
            for file in (folder.joinpath(*parts).with_suffix(".py"), folder.joinpath(*parts, "__init__.py")):
                if file.is_file():
                    return ast.parse(file.read_bytes()).body
    return []
