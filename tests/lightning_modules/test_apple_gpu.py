"""What goes to the device, and what is computed there, is known to Apple GPUs: neither float64 nor sparse rows."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from datamodules.errors import DataError
from datamodules.loading import adjacency
from lightning_modules.layers.graph import GraphAttention
from lightning_modules.tasks.task import Task
from scripts.cli.command_line.recipes import recipe_names, resolve
from scripts.cli.run.experiment import Experiment
from tests.helpers.stopping import SHORT, shortened

ON_DEVICE = (
    *("training_step", "validation_step", "test_step", "predict_step", "on_validation_epoch_end", "on_test_epoch_end"),
    "on_before_optimizer_step",
)


class Listing(TorchDispatchMode):
    """Counts the dtypes and layouts of what every operation takes and gives."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[tuple[torch.dtype, torch.layout]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves((args, kwargs, result)):
            if isinstance(value, torch.Tensor):
                self.found[value.dtype, value.layout] += 1
        return result


@pytest.mark.parametrize("name", [name for name in recipe_names() if name not in ("efficientnet", "inception")])
def test_every_dtype_and_layout_is_one_that_apple_gpus_know(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = Listing()

    def listed(method: Any) -> Any:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            with listing:
                return method(self, *args, **kwargs)

        return call

    monkeypatch.setattr(adjacency, "DENSE_ON", ("mps", "cpu"))
    monkeypatch.setattr(GraphAttention, "by_products", lambda self, h: False)  # of sparse rows, on a CPU alone
    run = Experiment(resolve(["--model", name, *SHORT, *shortened(name), "--logs", str(tmp_path)])).build()
    for cls in type(run.model).__mro__:
        for method in ON_DEVICE if issubclass(cls, Task) else ():
            if method in vars(cls):
                monkeypatch.setattr(cls, method, listed(vars(cls)[method]))
    run.fit()
    for tensor in (*run.model.parameters(), *run.model.buffers()):
        listing.found[tensor.dtype, tensor.layout] += 1
    assert listing.found
    unknown = {(dtype, layout) for dtype, layout in listing.found if dtype == torch.float64 or layout != torch.strided}
    assert not unknown


def test_a_graph_too_large_to_be_dense_is_refused_there() -> None:
    small = torch.eye(3).to_sparse_csr()
    assert torch.equal(adjacency.for_device(small, torch.device("mps")), torch.eye(3))
    assert adjacency.for_device(small, torch.device("cpu")) is small
    empty, size = torch.empty(0, dtype=torch.long), 10**5
    start = torch.zeros(size + 1, dtype=torch.long)
    large = torch.sparse_csr_tensor(start, empty, torch.empty(0), (size, size), check_invariants=False)
    with pytest.raises(DataError, match=r"100,000 x 100,000: unknown to this device \(mps\).*--trainer.accelerator c"):
        adjacency.for_device(large, torch.device("mps"))
