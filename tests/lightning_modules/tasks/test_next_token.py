"""Cross-entropy without all logits in memory at once."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from datamodules.tokenizing.packed import IGNORED
from lightning_modules.tasks import next_token
from lightning_modules.tasks.next_token import nats_of_tokens, summed_nats


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(next_token, "MAX_LOGITS", 7 * 50)  # 7 rows of 50 tokens


def inputs(dtype: torch.dtype = torch.double) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    states = torch.randn(33, 12, generator=random, dtype=dtype, requires_grad=True)
    weight = torch.randn(50, 12, generator=random, dtype=dtype, requires_grad=True)
    targets = torch.randint(50, (33,), generator=random)
    targets[::5] = IGNORED
    return states, weight, targets


def reference(states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(states, weight).float(), targets, ignore_index=IGNORED, reduction="sum")


def test_the_sum_and_its_gradients_are_those_of_all_logits() -> None:
    states, weight, targets = inputs(torch.float)
    expected, found = reference(states, weight, targets), summed_nats(states, weight, targets)
    torch.testing.assert_close(found, expected)
    gradients = torch.autograd.grad(3 * expected, (states, weight))
    for ours, theirs in zip(torch.autograd.grad(3 * found, (states, weight)), gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert not states.grad


def test_in_bf16_the_gradients_are_as_near_as_with_all_logits() -> None:
    states, weight, targets = inputs(torch.float)
    exact = torch.autograd.grad(reference(states, weight, targets), (states, weight))
    with torch.autocast("cpu", torch.bfloat16):
        full, found = reference(states, weight, targets), summed_nats(states, weight, targets)
    assert found.dtype == torch.float
    ours, theirs = (torch.autograd.grad(loss, (states, weight)) for loss in (found, full))
    for mine, other, truth in zip(ours, theirs, exact, strict=True):
        assert (mine - truth).norm() <= 2 * (other - truth).norm()


@pytest.mark.parametrize("frozen", [0, 1])
def test_a_part_may_be_frozen(frozen: int) -> None:
    parts = list(inputs(torch.float))
    parts[frozen] = parts[frozen].detach()
    (found,) = torch.autograd.grad(summed_nats(*parts), parts[1 - frozen])
    (expected,) = torch.autograd.grad(reference(*parts), parts[1 - frozen])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_without_a_target_there_is_no_loss_and_no_gradient() -> None:
    states, weight, targets = inputs(torch.float)
    found = summed_nats(states, weight, torch.full_like(targets, IGNORED))
    assert found == 0
    assert not torch.autograd.grad(found, weight)[0].any()


def test_the_nats_of_each_token_sum_up_to_the_loss() -> None:
    states, weight, targets = inputs(torch.float)
    nats, right = nats_of_tokens(states, weight, targets)
    torch.testing.assert_close(nats.sum(), reference(states, weight, targets))
    assert not nats[targets == IGNORED].any()
    assert torch.equal(right, F.linear(states, weight).argmax(1) == targets)


MEMORY = """
import sys, torch
from torch.nn import functional as F
from lightning_modules.tasks.next_token import summed_nats
states = torch.randn(1024, 64, requires_grad=True)
weight = torch.randn(150_000, 64, requires_grad=True)
targets = torch.randint(150_000, (1024,))
def peak():  # ru_maxrss would begin with that of the process that started this one
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
before = peak()
full = lambda: F.cross_entropy(F.linear(states, weight), targets)
loss = full() if sys.argv[1] == "full" else summed_nats(states, weight, targets)
loss.backward()
print(peak() - before)
"""


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to measure the peak of a process")
def test_a_step_with_a_large_vocabulary_takes_less_than_half_of_the_memory() -> None:
    root = Path(next_token.__file__).parents[2]
    peaks = {
        which: int(subprocess.check_output([sys.executable, "-c", MEMORY, which], cwd=root, text=True))
        for which in ("full", "chunks")
    }
    assert peaks["chunks"] < 0.5 * peaks["full"]
