"""What is computed in how many bits, and that what overflows in 16 of them harms nothing."""

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from callbacks.run.checkpoint_file import read_checkpoint
from lightning_modules.mlp import MLP
from lightning_modules.optim.native_bf16 import multiplies_bf16
from scripts.cli.run.precision import pick_precision
from tests.helpers.stopping import SHORT, train

FP16 = ["--trainer.precision", "16-mixed"]


@pytest.fixture
def other_machine() -> Iterator[None]:
    """What is found out about this machine is forgotten, before a test and after it."""
    multiplies_bf16.cache_clear()
    yield
    multiplies_bf16.cache_clear()


def last(folder: Path) -> dict[str, Any]:
    return read_checkpoint(folder / "mlp" / "version_0" / "checkpoints" / "last.ckpt")


def run(folder: Path, *words: str) -> dict[str, Any]:
    assert train(["--model", "mlp", *SHORT, *words, "--logs", str(folder)]) == 0
    return last(folder)


@pytest.mark.parametrize(
    ("precision", "computed", "kept"),
    [
        ("32", torch.float32, torch.float32),
        ("16-mixed", torch.float16, torch.float32),
        ("bf16-mixed", torch.bfloat16, torch.float32),
        ("bf16-true", torch.bfloat16, torch.bfloat16),
        ("64", torch.float64, torch.float64),
    ],
)
def test_products_and_weights_have_the_bits_that_were_asked_for(
    precision: str, computed: torch.dtype, kept: torch.dtype, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: set[torch.dtype] = set()
    forward = nn.Linear.forward

    def looked(self: nn.Linear, x: Tensor) -> Tensor:
        product = forward(self, x)
        seen.add(product.dtype)
        return product

    monkeypatch.setattr(nn.Linear, "forward", looked)
    state = run(tmp_path, "--trainer.precision", precision)["state_dict"]
    assert seen == {computed}
    assert {value.dtype for name, value in state.items() if name.startswith("network.")} == {kept}


@pytest.mark.filterwarnings(r"ignore:Detected call of `lr_scheduler.step\(\)` before")  # see scripts/cli/run/build.py
def test_steps_whose_gradients_overflow_are_left_out_and_the_scale_is_halved(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.amp, "GradScaler", partial(torch.amp.GradScaler, init_scale=2.0**40))
    before: list[Tensor] = []
    step = MLP.training_step

    def looked(self: MLP, *args: Any) -> Any:
        before.append(torch.cat([weight.detach().flatten() for weight in self.parameters()]))
        return step(self, *args)

    monkeypatch.setattr(MLP, "training_step", looked)
    checkpoint = run(tmp_path, *FP16, "--trainer.limit_train_batches", "12", "--model.hidden_size", "8")
    skipped = round(math.log2(2.0**40 / checkpoint["MixedPrecision"]["scale"]))
    assert 5 < skipped < 24
    assert all(torch.equal(weights, before[0]) for weights in before[: skipped + 1])
    assert not torch.equal(before[skipped], before[-1])
    assert all(bool(weights.isfinite().all()) for weights in before)


def test_auto_is_32_bits_where_bf16_would_be_emulated(monkeypatch: pytest.MonkeyPatch, other_machine: None) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert pick_precision("auto", "cpu") == "32"
    assert pick_precision("bf16-mixed", "cpu") == "bf16-mixed"


@pytest.mark.parametrize(
    ("capability", "flags", "expected"),
    [
        ("AVX512", "fpu avx512f avx512_bf16", "bf16-mixed"),
        ("AVX512", "fpu avx512f amx_bf16", "bf16-mixed"),
        ("AVX512", "fpu avx512f", "32"),
        ("AVX2", "fpu avx512_bf16", "32"),  # torch would not use it
    ],
)
@pytest.mark.usefixtures("other_machine")
def test_auto_is_bf16_where_the_processor_multiplies_it(
    capability: str, flags: str, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : {flags}\n")
    monkeypatch.setattr("lightning_modules.optim.native_bf16.Path", lambda name: tmp_path / Path(name).name)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert pick_precision("auto", "cpu") == expected


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "32"), ((8, 0), "bf16-mixed"), ((9, 0), "bf16-mixed")])
@pytest.mark.usefixtures("other_machine")
def test_auto_is_bf16_where_the_gpu_multiplies_it(
    capability: tuple[int, int], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    for accelerator in ("auto", "gpu", "cuda"):
        assert pick_precision("auto", accelerator) == expected
