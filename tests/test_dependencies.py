"""What is declared to be installed is what the code imports, and the tested versions are among what is allowed."""

import ast
import re
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from callbacks.loggers.logger import logger_classes
from scripts.cli.command_line.recipes import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
OWN = {"lightning_modules", "datamodules", "callbacks", "scripts"}


def required(*extras: str) -> set[str]:
    """The names of the packages that are installed with the project, or with these extras of it."""
    entries = [entry for extra in extras for entry in EXTRAS[extra]] or PROJECT["project"]["dependencies"]
    return {canonicalize_name(Requirement(entry).name) for entry in entries}


def imported(tree: ast.AST) -> set[str]:
    """The top-level modules that code imports from outside of the project and of Python."""
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules.add(node.module or "")
    return {module.split(".")[0] for module in modules} - OWN - sys.stdlib_module_names


@cache
def brought_by() -> Mapping[str, list[str]]:
    """The packages that bring each module."""
    return packages_distributions()


def undeclared(modules: set[str], packages: set[str]) -> set[str]:
    """The modules that none of the packages brings."""
    return {module for module in modules if not {*map(canonicalize_name, brought_by().get(module, []))} & packages}


@pytest.mark.parametrize("package", sorted(OWN))
def test_every_import_is_of_a_declared_dependency(package: str) -> None:
    optional = required("clusters", "excel", "export", "sweep")
    chosen = {cls.package for cls in logger_classes().values()}  # by the user, who is told what has to be installed
    for file in sorted((ROOT / package).rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        assert undeclared(imported(tree), required() | optional) <= chosen, file
        # A sweep is imported once optuna is known to be there; what stands alone is read, not imported.
        if {"sweep", "standalone"}.isdisjoint((file.stem, *file.relative_to(ROOT).parts)):
            at_once = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
            assert not undeclared(imported(ast.Module(at_once, [])), required()), file


def test_the_tested_versions_are_those_of_every_dependency_and_within_its_bounds() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    tested = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert all(re.fullmatch(r"[\w.-]+", name) for name in tested)
    tested = {canonicalize_name(name): version for name, version in tested.items()}
    entries = [*PROJECT["project"]["dependencies"], *(entry for extra in EXTRAS.values() for entry in extra)]
    for requirement in map(Requirement, entries):
        if requirement.name != PROJECT["project"]["name"]:
            assert tested[canonicalize_name(requirement.name)] in requirement.specifier, requirement
