"""One process of two, which build, save and read weights that none of them has whole; test_processes.py starts it."""

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import distributed
from torch.distributed.tensor import DTensor

from callbacks.run.checkpoint_file import read_checkpoint, write_shards
from callbacks.run.processes import load_weights
from lightning_modules.layers.later_weights import weights_left
from lightning_modules.llm import LLM
from scripts.cli.distributed.fsdp import shard_model

MMAP_THRESHOLD = -3  # in glibc's malloc.h


def allocated() -> int:
    """Bytes of memory that this process has for itself, without files that are mapped."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("RssAnon")))


@contextmanager
def at_most(limit: float, what: str) -> Iterator[None]:
    """Check how much more memory is allocated at any time in this context."""
    before, seen, ended = allocated(), [0], threading.Event()

    def look() -> None:
        while not ended.is_set():
            seen.append(allocated() - before)
            time.sleep(0.001)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
    assert max(seen) <= limit, f"{what}: {max(seen) / 1e6:.0f} MB, expected at most {limit / 1e6:.0f}"


def network(size: int, layers: int) -> LLM:
    """A model without weights."""
    with weights_left():
        return LLM(512, tokenizer_json="", end=0, window=64, num_heads=8, hidden_size=size, num_layers=layers)


def main(path: Path) -> None:
    """Check how much memory each step takes, and that the file is what one process would have written."""
    distributed.init_process_group("gloo")
    ctypes.CDLL(None).mallopt(MMAP_THRESHOLD, 2**20)  # else what is freed stays between what is kept, and counts
    small, model = (network(*sizes) for sizes in ((16, 1), (1024, 8)))
    shard_model(small, torch.device("cpu"))  # which imports what it needs
    size = 4 * sum(weight.numel() for weight in model.parameters())
    first = distributed.get_rank() == 0
    with at_most(0.6 * size, "building"):  # a half, and the largest weight
        shard_model(model, torch.device("cpu"))
    assert all(isinstance(weight, DTensor) for weight in model.parameters())
    with at_most(0.15 * size, "saving"):
        write_shards({"state_dict": model.state_dict(), "step": torch.tensor(3)}, path, first)
    distributed.barrier()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    with at_most(0.15 * size, "reading"):
        checkpoint = read_checkpoint(path, mapped=True)
        assert int(checkpoint["step"]) == 3
        load_weights(model, checkpoint["state_dict"])
    for name, weight in model.state_dict().items():
        assert isinstance(weight, DTensor), name
        assert torch.equal(weight.full_tensor(), before[name].full_tensor()), name
        assert torch.equal(weight.full_tensor(), checkpoint["state_dict"][name]), name
    distributed.destroy_process_group()
