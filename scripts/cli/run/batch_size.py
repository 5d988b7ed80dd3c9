"""The largest batch of which a training step fits into memory: `--data.batch_size auto`."""

import copy
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import torch
from lightning.pytorch import LightningModule, Trainer

from callbacks.activation_checkpointing import ActivationCheckpointing
from callbacks.technique import Technique
from datamodules.base import DataModule
from datamodules.loading.sampling import EPOCH_STEPS
from scripts.cli.command_line.options import AUTO
from scripts.cli.command_line.recipes import read_yaml
from scripts.cli.errors import UsageError
from scripts.cli.run.memory import held

OPTION = f"--data.batch_size {AUTO}"
FRACTION = 0.8  # of the memory: batches differ, and decoding a test may take more than a step
MIN_EXAMPLES = 2  # examples of each process: batch norms need as many
STATUS = Path("/proc/self/status")  # of Linux
CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))  # of a container


class BatchSize(NamedTuple):
    """A batch size, and why it is no larger."""

    batch_size: int
    reason: str


def of_earlier_run(folder: Path) -> BatchSize:
    """The batch size with which a run was begun."""
    config = read_yaml(folder / "config.yaml", "--resume")
    return BatchSize(config["data"]["init_args"]["batch_size"], "this run was begun with it")


def largest(model: LightningModule, data: DataModule, techniques: Sequence[Technique], trainer: Trainer) -> BatchSize:
    """Double a batch as long as a training step with it fits into 80 % of the memory, on a copy of the model.

    Where examples have lengths, it is the longest that are tried. What a step of twice the size will need is reckoned
    before it is tried: an operating system ends a process that takes too much without asking.

    Raises:
        UsageError: not even the smallest fits, or the batch is not what decides about memory.
    """
    if data.full_batch:
        raise UsageError(f"{OPTION}: every step of this data reads all of it, whatever the batch size; leave it out")
    device, processes = trainer.strategy.root_device, trainer.world_size
    step = step_of(model, data, techniques, trainer)
    budget = FRACTION * memory(device) / (1 if device.type == "cuda" else trainer.num_devices)
    max_size = data.size_of("train") // EPOCH_STEPS // processes
    first = needed = peak_of(step, MIN_EXAMPLES, device)
    if first > budget:
        raise UsageError(f"{OPTION}: not even {MIN_EXAMPLES} examples fit into {budget / 1e9:.1f} GB of {device}")
    size = MIN_EXAMPLES
    while 2 * size <= max_size and first + 2 * (needed - first) <= budget:
        needed = peak_of(step, 2 * size, device)
        if needed > budget:
            break
        size *= 2
    if device.type == "cuda":
        torch.cuda.empty_cache()
    few = f"leave an epoch fewer than {EPOCH_STEPS} steps"
    reason = few if 2 * size > max_size else f"take more than {FRACTION:.0%} of the memory of {device}"
    advice = "scripts/find_rate.py finds a rate that goes with it"
    return BatchSize(size * processes, f"twice as many would {reason}; {advice}")


def step_of(
    model: LightningModule, data: DataModule, techniques: Sequence[Technique], trainer: Trainer
) -> Callable[[int], None]:
    """A function that takes a training step with so many examples, on a copy of the model."""
    device, plugin = trainer.strategy.root_device, trainer.precision_plugin
    copied: Any = plugin.convert_module(copy.deepcopy(model)).to(device).train()
    for technique in techniques:
        if isinstance(technique, ActivationCheckpointing):
            technique.setup(trainer, copied, "fit")
    learn = copied.plain_step(trainer)
    examples: Any = data.train_dataloader().dataset
    lengths = getattr(examples, "lengths", None)
    order = torch.arange(len(examples)) if lengths is None else torch.argsort(lengths, descending=True)

    def step(size: int) -> None:
        batch = data.transfer_batch_to_device(examples[order[:size]], device, 0)
        learn(plugin.convert_input(data.on_after_batch_transfer(batch, 0)))

    return step


def peak_of(step: Callable[[int], None], size: int, device: torch.device) -> float:
    """The peak memory of a process during a step of that size, in bytes; infinite if there is too little."""
    try:
        step(size)  # the first of all makes the optimizer's state
        forget_peak(device)
        step(size)
    except torch.OutOfMemoryError:
        return math.inf
    return peak(device)


def memory(device: torch.device) -> int:
    """The memory that this process can have, in bytes: what it has and what is free."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    limits = [int(path.read_text()) for path in CGROUPS if path.exists() and path.read_text().strip().isdigit()]
    return min([*limits, psutil.virtual_memory().available + psutil.Process().memory_info().rss])


def forget_peak(device: torch.device) -> None:
    """Let `peak` count from here, where the system can do so; elsewhere it counts from the process's beginning."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif STATUS.exists():
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak(device: torch.device) -> int:
    """The peak memory of this process on the device, in bytes."""
    if device.type == "cpu" and STATUS.exists():
        return _kilobytes(STATUS, "VmHWM")
    memory, in_gpu = held(device)
    return in_gpu if device.type == "cuda" else memory


def _kilobytes(path: Path, name: str) -> int:
    line = next(line for line in path.read_text().splitlines() if line.startswith(f"{name}:"))
    return 1024 * int(line.split()[1])
