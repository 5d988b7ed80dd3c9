"""What a run imports: a small network's waits for no package that it does not use."""

import importlib
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torchmetrics
from matplotlib.axes import Axes
from torchmetrics.classification import MulticlassAccuracy

from scripts.cli.lazy_packages import PACKAGES

UNUSED = {
    *("torchvision", "transformers", "peft", "torch_geometric", "pandas", "scipy.signal", "onnx", "optuna"),
    *("torch._dynamo.eval_frame", "torch._inductor"),
    *("sklearn", "scipy", "matplotlib", "sympy", "torch.distributed.tensor", "datamodules.chat"),
    *("torch_geometric.datasets", "torch_geometric.graphgym", "torch_geometric.llm"),
    *("torchmetrics.image", "torchmetrics.functional.image", "torchmetrics.functional.text.bert"),
}
RUN = """
import sys
from scripts.fit import main
from lightning_modules.tasks.task import Task
def begins(task):
    print("imported:", *sorted(sys.modules))
Task.on_train_epoch_start = begins
main(["--model", sys.argv[2], "--trainer.fast_dev_run", "1", "--logs", sys.argv[1]])
"""


@pytest.mark.parametrize(
    ("model", "used"),
    [
        ("mlp", {"torchmetrics.metric"}),
        ("linear_regression", set()),
        ("gat", {"torch_geometric", "torch_geometric.nn"}),
    ],
)
def test_a_small_network_trains_without_what_it_does_not_use(model: str, used: set[str], tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN, str(tmp_path), model]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = set(ended.stdout.split("imported:")[1].splitlines()[0].split())
    assert used <= imported
    assert imported & UNUSED - used == set()


def test_a_metric_draws_once_it_is_asked_to() -> None:
    metric = MulticlassAccuracy(3)
    metric.update(torch.eye(3), torch.arange(3))
    figure, axes = metric.plot()
    assert isinstance(axes, Axes)
    assert axes.figure is figure


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_of_a_lazy_package_is_there(package: str) -> None:
    module = importlib.import_module(package)
    assert "__getattr__" in vars(module)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert not hasattr(module, "NoSuchMetric")
    assert not hasattr(module, "__no_such_name__")


def test_a_metric_is_the_same_by_every_name() -> None:
    torchmetrics_again = __import__("torchmetrics", fromlist=["MeanMetric", "functional"])
    assert torchmetrics_again.MeanMetric is sys.modules["torchmetrics.aggregation"].MeanMetric
    assert torchmetrics_again.functional is sys.modules["torchmetrics.functional"]
    metric = MulticlassAccuracy(3)
    metric.update(torch.eye(3), torch.arange(3))
    assert pickle.loads(pickle.dumps(metric)).compute() == 1
    assert isinstance(metric, torchmetrics.Metric)
