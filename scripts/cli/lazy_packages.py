"""Imports torchmetrics a name at a time.

Otherwise one metric brings all of them, with torchvision, transformers and scipy.signal: a third of the time in which a
run of a small network starts; and matplotlib, which draws none of our pictures before a run has trained.
"""

import ast
import importlib
import sys
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

PACKAGES = ("torchmetrics", "torchmetrics.functional", "torch_geometric")  # whose __init__ imports all that they have
DRAWING = "torchmetrics.utilities.plot"  # its functions need matplotlib, and every metric imports them
AT_ONCE = ("torch_geometric.typing", "torch_geometric.utils", "torch_geometric.data")  # a circle, too
FIRST = {"torchmetrics": "torchmetrics.utilities"}  # its modules import one another in a circle, which begins here


class LazyPackages(MetaPathFinder):
    """Finds the packages of `PACKAGES` where they are, and loads them lazily."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The package's, with a loader of its own; None for any other module."""
        loader = _LazyLoader if fullname in PACKAGES else _LaterLoader if fullname == DRAWING else None
        spec = PathFinder.find_spec(fullname, path) if loader is not None else None
        if loader is None or spec is None or not isinstance(spec.loader, SourceFileLoader):
            return None
        spec.loader = loader(spec.loader.name, spec.loader.path)
        return spec


class _LazyLoader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        """Execute what the package's `__init__` defines itself; what it imports from its modules waits until asked for.

        Patches of other packages, which it applies under a condition, are left out: they import scipy.signal.
        """
        package = module.__name__
        tree = ast.parse(self.get_data(self.path))
        waiting = [line for line in tree.body if isinstance(line, ast.ImportFrom) and is_from(line, package)]
        left_out = {id(line) for line in tree.body if isinstance(line, ast.If) or is_of(line, package)}
        left_out |= {id(line) for line in waiting}
        tree.body = [line for line in tree.body if id(line) not in left_out]
        places = {alias.asname or alias.name: (line.module, alias.name) for line in waiting for alias in line.names}

        def imported(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(f"module {package!r} has no attribute {name!r}")
            source, original = places.get(name, (package, name))
            if source != package:
                value = getattr(importlib.import_module(str(source)), original)
            else:
                try:
                    value = importlib.import_module(f"{package}.{name}")
                except ModuleNotFoundError as error:
                    if error.name != f"{package}.{name}":
                        raise
                    raise AttributeError(f"module {package!r} has no attribute {name!r}") from None
            setattr(module, name, value)
            return value

        module.__getattr__ = imported  # type: ignore[method-assign]
        exec(compile(tree, self.path, "exec"), vars(module))
        if package in FIRST:
            importlib.import_module(FIRST[package])


class _LaterLoader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        """Execute nothing before one of the module's functions is called; its types, with an underscore, are any."""

        def imported(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            return Any if name.startswith("_") else partial(self._call, module, name)

        module.__getattr__ = imported  # type: ignore[method-assign]

    def _call(self, module: ModuleType, name: str, /, *args: Any, **kwargs: Any) -> Any:
        if name not in vars(module):
            super().exec_module(module)
        return vars(module)[name](*args, **kwargs)


def is_from(line: ast.ImportFrom, package: str) -> bool:
    """Whether a line imports named things from a package's own modules."""
    return not line.level and f"{line.module}.".startswith(f"{package}.") and line.names[0].name != "*"


def is_of(line: ast.stmt, package: str) -> bool:
    """Whether a line imports modules of a package's own that can wait."""
    names = [alias.name for alias in line.names] if isinstance(line, ast.Import) else [""]
    return all(name.startswith(f"{package}.") and name not in AT_ONCE for name in names)


def import_lazily() -> None:
    """Let the packages be imported lazily from now on; those that are imported already stay as they are."""
    if not any(isinstance(finder, LazyPackages) for finder in sys.meta_path):
        sys.meta_path.insert(0, LazyPackages())
