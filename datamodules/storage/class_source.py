"""Classes as their source declares them: importing one would import torch, and its path may come from anybody."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

PROJECT = Path(__file__).resolve().parents[2]  # an editable install may be found without being on the path


class ClassSource(NamedTuple):
    """The source of a class.

    Args:
        module: that defines it.
        node: its definition.
    """

    module: str
    node: ast.ClassDef


@cache
def lineage(class_path: str) -> tuple[ClassSource, ...]:
    """The class of that path and its bases whose source is found, in the order in which Python asks them.

    A base of several of them comes after all of these.
    """
    module, _, name = class_path.rpartition(".")
    return (*reversed(dict.fromkeys(reversed([*_with_bases(module, name, ())]))),)


@cache
def attribute(class_path: str, name: str) -> ast.expr | None:
    """The value that a class, or the first of its bases that does, assigns to an attribute; None if none does."""
    for source in lineage(class_path):
        for node in source.node.body:
            targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return node.value  # type: ignore[attr-defined]
    return None


def literal(expression: ast.expr | None) -> Any:
    """The value of an expression that is a literal, or a frozenset of one; None for any other."""
    if isinstance(expression, ast.Call) and getattr(expression.func, "id", "") == "frozenset" and expression.args:
        return frozenset(literal(expression.args[0]) or ())
    return next(_literal(expression), None)


@cache
def constructor_defaults(class_path: str) -> dict[str, Any]:
    """The defaults of a class's constructor that are literals, its bases' too where it passes `**kwargs` on."""
    defaults: dict[str, Any] = {}
    for source in lineage(class_path):
        init = next((each for each in source.node.body if getattr(each, "name", "") == "__init__"), None)
        if not isinstance(init, ast.FunctionDef):
            continue
        parameters = init.args
        positional = parameters.args[len(parameters.args) - len(parameters.defaults) :]
        pairs = [
            *zip(positional, parameters.defaults, strict=True),
            *zip(parameters.kwonlyargs, parameters.kw_defaults, strict=True),
        ]
        defaults = {each.arg: value for each, default in pairs for value in _literal(default)} | defaults
        if parameters.kwarg is None:
            break
    return defaults


def _with_bases(module: str, name: str, below: tuple[ClassSource, ...]) -> Iterator[ClassSource]:
    found = _class(module, name)
    if found is not None and found not in below:  # a file may say that a class is its own base
        yield found
        for base in found.node.bases:
            if isinstance(base, ast.Name):
                yield from _with_bases(found.module, base.id, (*below, found))


def _literal(default: ast.expr | None) -> Iterator[Any]:
    """The value of an expression, if it is a literal."""
    if default is not None:
        try:
            yield ast.literal_eval(default)
        except ValueError:
            return


def _class(module: str, name: str) -> ClassSource | None:
    """A class by the module that defines it or imports it."""
    seen = set()
    while (module, name) not in seen:
        seen.add((module, name))
        content = parsed(module)
        for node in content:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return ClassSource(module, node)
        module, name = _imported(content).get(name, (module, name))
    return None


def _imported(content: list[ast.stmt]) -> dict[str, tuple[str, str]]:
    """The modules and names of what is imported, by the names it has here."""
    return {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in content
        if isinstance(node, ast.ImportFrom) and not node.level
        for alias in node.names
    }


@cache
def parsed(module: str) -> list[ast.stmt]:
    """The statements of a module's source; none where it has none."""
    parts = module.split(".")
    if all(part.isidentifier() for part in parts):
        for folder in (PROJECT, *map(Path, sys.path)):
            for file in (folder.joinpath(*parts).with_suffix(".py"), folder.joinpath(*parts, "__init__.py")):
                if file.is_file():
                    return ast.parse(file.read_bytes()).body
    return []
