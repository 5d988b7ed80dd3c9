"""What a run imports: a small network's waits for no package that it does not use."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torchmetrics
from torchmetrics.classification import MulticlassAccuracy

from scripts.cli.lazy_packages import PACKAGES

UNUSED = {
    *("torchvision", "transformers", "peft", "torch_geometric", "pandas", "scipy.signal", "onnx", "optuna"),
    *("torch._dynamo.eval_frame", "torch._inductor"),
    *("sklearn.ensemble", "sklearn.linear_model"),
    *("torchmetrics.image", "torchmetrics.functional.image", "torchmetrics.functional.text.bert"),
}
RUN = """
import sys
from scripts.fit import main
main(["--model", "mlp", "--trainer.fast_dev_run", "1", "--logs", sys.argv[1]])
print("imported:", *sorted(sys.modules))
"""


def test_a_run_of_a_small_network_imports_what_it_uses(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", RUN, str(tmp_path)], capture_output=True, text=True, check=True)
    imported = set(ended.stdout.split("imported:")[1].split())
    assert "torchmetrics.metric" in imported
    assert not imported & UNUSED


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_of_a_lazy_package_is_there(package: str) -> None:
    module = sys.modules[package]
    assert "__getattr__" in vars(module)
    assert [name for name in module.__all__ if not callable(getattr(module, name)) and name != "functional"] == []
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
