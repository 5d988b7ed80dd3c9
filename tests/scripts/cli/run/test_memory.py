import os
import subprocess
import sys

import pytest

from scripts.cli.command_line.classes import class_at
from scripts.cli.run.build import build_data

CAPACITY = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
GROWTH = """
import torch
from scripts.cli.run.memory import forget_shapes

forget_shapes()
torch.set_num_threads(1)
weight = torch.randn(128, 512, requires_grad=True)


def megabytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


def multiply(sizes):
    for size in sizes:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            product = torch.randn(size, 128) @ weight
        product.float().sum().backward()


multiply(range(1000, 1060))
before = megabytes()
multiply(range(1060, 1160))
print(megabytes() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_batches_that_never_have_the_same_shape_leave_nothing_behind() -> None:
    plain = {name: value for name, value in os.environ.items() if "CACHE_CAPACITY" not in name}
    done = subprocess.run([sys.executable, "-c", GROWTH], env=plain, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 75  # MB; where oneDNN may remember 1,024 shapes it is 130 to 180


def test_shapes_that_come_again_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {name: value for name, value in os.environ.items() if name != CAPACITY})
    build_data(class_at("datamodules.series.Series"), {})
    assert CAPACITY not in os.environ
    build_data(class_at("datamodules.reading.Reading"), {})
    assert CAPACITY in os.environ
    os.environ[CAPACITY] = "7"
    build_data(class_at("datamodules.reading.Reading"), {})
    assert os.environ[CAPACITY] == "7", "what the user has set stays"
