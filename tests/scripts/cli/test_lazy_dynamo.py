"""The compiler is imported when something is compiled, and then as if it had been from the beginning."""

import subprocess
import sys

import pytest

BEGIN = """
import sys
import scripts.cli
import torch
from lightning.fabric.wrappers import _unwrap_compiled
from lightning.pytorch.utilities.compile import from_compiled
name = "torch._dynamo"
model = torch.nn.Linear(2, 2)
optimizer = torch.optim.AdamW(model.parameters())
def step():
    optimizer.zero_grad()
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
step()
assert type(sys.modules[name]).__name__ == "_LazyDynamo", "nothing has asked for it"
"""
COMPILED = """
assert type(sys.modules[name]).__name__ == "module"
assert torch._dynamo is sys.modules[name]
compiled = torch.compile(model, backend="eager")
found = compiled(torch.ones(1, 2))
assert torch.equal(found, model(torch.ones(1, 2)))
assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
assert isinstance(compiled, torch._dynamo.OptimizedModule)
assert _unwrap_compiled(compiled) == (model, compiled._compile_kwargs)
assert _unwrap_compiled(model) == (model, None)
step()
modules = [module for key, module in sys.modules.items() if key.startswith(f"{name}.")]
assert all(sys.modules[module.__name__] is module for module in modules if hasattr(module, "__name__"))
from torch._dynamo import utils
assert utils is torch._dynamo.utils
"""


@pytest.mark.parametrize(
    "asked",
    [
        "torch.compile(lambda x: x, backend='eager')(torch.ones(1, 2)); torch._dynamo.utils.counters.clear()",
        "import torch._dynamo.config",
        "from torch._dynamo.utils import counters",
        "from torch._dynamo import config",
        "torch._dynamo.reset()",
    ],
)
def test_the_compiler_comes_whichever_way_it_is_asked_for(asked: str) -> None:
    subprocess.run([sys.executable, "-c", f"{BEGIN}\n{asked}\n{COMPILED}"], check=True)


def test_what_has_no_module_is_looked_for_in_the_compiler_first() -> None:
    order = "names = [*sys.modules]; assert names.index(f'{name}.utils') < names.index('jsonargparse')"
    subprocess.run([sys.executable, "-c", f"{BEGIN}\nimport jsonargparse\ntorch._dynamo.reset()\n{order}"], check=True)


def test_looking_at_all_modules_imports_nothing() -> None:
    look = "import inspect; [getattr(module, '__warningregistry__', None) for module in [*sys.modules.values()]]"
    end = "inspect.getmodule(step); assert type(sys.modules[name]).__name__ == '_LazyDynamo'"
    subprocess.run([sys.executable, "-c", f"{BEGIN}\n{look}\n{end}"], check=True)
