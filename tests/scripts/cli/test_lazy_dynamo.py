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


ASKED = (
    "torch.compile(lambda x: x, backend='eager')(torch.ones(1, 2)); torch._dynamo.utils.counters.clear()",
    "from torch._dynamo.utils import counters",
    "torch._dynamo.reset()",
)
ORDER = "names = [*sys.modules]; assert names.index(f'{name}.utils') < names.index('jsonargparse')"
LOOK = "import inspect; [getattr(module, '__warningregistry__', None) for module in [*sys.modules.values()]]"
LAZY_STILL = "inspect.getmodule(step); assert type(sys.modules[name]).__name__ == '_LazyDynamo'"
EACH = """
import os
for code in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        try:
            exec(code)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, code
"""


@pytest.mark.long
@pytest.mark.needs("fork")
def test_the_compiler_comes_whichever_way_it_is_asked_for_and_not_unasked() -> None:
    """Each way is tried in a fork of one process, as each has to be the first."""
    codes = [f"{asked}\n{COMPILED}" for asked in ASKED]
    codes += [f"import jsonargparse\ntorch._dynamo.reset()\n{ORDER}", f"{LOOK}\n{LAZY_STILL}"]
    subprocess.run([sys.executable, "-c", BEGIN + EACH, *codes], check=True)
