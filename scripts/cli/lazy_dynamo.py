"""Imports torch._dynamo when something is compiled.

Lightning asks whether a model is compiled, and an optimizer's every step says that it is not to be: either would import
the compiler, which takes half as long as torch itself. As long as it is not there nothing is compiled.
"""

import importlib
import sys
from collections.abc import Callable
from functools import wraps
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

NAME = "torch._dynamo"


class _Compiled(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return _is_imported() and isinstance(instance, sys.modules[NAME].OptimizedModule)


class _LazyDynamo(ModuleType):
    """Stands for the package, and gives way to it where anything but these names is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # of which inspection asks every module
            raise AttributeError(f"module {NAME!r} has no attribute {name!r} yet")
        return getattr(_real(), name)

    class OptimizedModule(metaclass=_Compiled):
        """What is compiled, of which there is nothing before the package is imported."""

    @staticmethod
    def disable(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
        """A function that is not compiled, which it cannot be as long as the package is not imported."""
        disabled: list[Callable[..., Any]] = []

        @wraps(function)
        def call(*inputs: Any, **options: Any) -> Any:
            if not _is_imported():
                return function(*inputs, **options)
            if not disabled:
                disabled.append(sys.modules[NAME].disable(function, *args, **kwargs))
            return disabled[0](*inputs, **options)

        return call

    @staticmethod
    def graph_break(*args: Any, **kwargs: Any) -> None:
        """Nothing: there is no graph."""


class _Imported(Loader):
    """The loader of a module that importing the package has brought, in place of the module's own.

    Args:
        module: which is not to be executed once more.
        spec: the module's, whose loader this is until then.
    """

    def __init__(self, module: ModuleType, spec: ModuleSpec) -> None:
        self.module = module
        self.spec = spec
        self.own = spec.loader
        spec.loader = self

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module itself."""
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        """Restore the module's own loader."""
        self.spec.loader = self.own


class _Parts(MetaPathFinder):
    """Finds what the package has brought while a part of it was being imported."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Of a part that has been imported with the package, which is imported before any part of it."""
        if not fullname.startswith(f"{NAME}."):
            return None
        _real()
        if fullname not in sys.modules:
            return None
        spec = sys.modules[fullname].__spec__
        assert spec is not None
        _Imported(sys.modules[fullname], spec)
        return spec


def _is_imported() -> bool:
    return not isinstance(sys.modules.get(NAME), _LazyDynamo)


def _real() -> ModuleType:
    """The package, before jsonargparse in the order of all modules.

    pickle looks through them for what has no module, as some that the compiler pickles; jsonargparse warns where it is
    asked for a name that it had in earlier versions.
    """
    if not _is_imported():
        del sys.modules[NAME]
        importlib.import_module(NAME)
        for name in [name for name in sys.modules if name.partition(".")[0] == "jsonargparse"]:
            sys.modules[name] = sys.modules.pop(name)
    return sys.modules[NAME]


def import_when_compiling() -> None:
    """Let the compiler be imported when it is used, unless it has been already."""
    torch = find_spec("torch")
    if NAME not in sys.modules and torch is not None and torch.submodule_search_locations:
        package = _LazyDynamo(NAME)
        package.__path__ = [f"{place}/_dynamo" for place in torch.submodule_search_locations]
        sys.modules[NAME] = package
        sys.meta_path.insert(0, _Parts())
