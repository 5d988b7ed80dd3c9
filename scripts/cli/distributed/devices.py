"""The machine's devices, and which of them a run may request."""

import os
import re
from typing import Any

import torch

from scripts.cli.errors import UsageError

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps", "tpu")


def available_devices() -> str:
    """The machine's devices, in words."""
    cores = f"{os.cpu_count()} CPU cores"
    if torch.cuda.is_available():
        names = {torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())}
        return f"{torch.cuda.device_count()} GPU ({', '.join(sorted(names))}) and {cores}"
    return f"an Apple GPU and {cores}" if torch.backends.mps.is_available() else f"no GPU and {cores}"


def check_devices(accelerator: Any, devices: Any) -> None:
    """Reject devices that are not available, before anything is read or written.

    Args:
        accelerator: of the trainer; an object is left to Lightning.
        devices: how many, or their indices.

    Raises:
        UsageError: there are none of this type, or fewer.
    """
    device_type = str(accelerator).lower()
    if isinstance(accelerator, str) and accelerator not in ACCELERATORS:
        raise UsageError(f"--trainer.accelerator {accelerator}: expected one of {', '.join(ACCELERATORS)}")
    gpus = torch.cuda.device_count()
    if device_type == "cuda" and not gpus:
        raise UsageError(f"--trainer.accelerator {accelerator}: expected a device that is here: {available_devices()}")
    if device_type == "gpu" and not gpus and not torch.backends.mps.is_available():
        raise UsageError(f"--trainer.accelerator {accelerator}: expected a device that is here: {available_devices()}")
    if device_type == "mps" and not torch.backends.mps.is_available():
        raise UsageError(f"--trainer.accelerator {accelerator}: expected a device that is here: {available_devices()}")
    if device_type not in ("auto", "cpu", "gpu", "cuda"):
        return
    if isinstance(devices, str) and not re.fullmatch(r"auto|[-\d,\s]+", devices):
        raise UsageError(f"--trainer.devices: expected auto, how many, or their numbers, got {devices}")
    requested = _requested(devices)
    on_gpu = device_type != "cpu" and gpus > 0
    if isinstance(requested, list):
        if device_type == "cpu" or not (gpus or torch.backends.mps.is_available()):
            raise UsageError(f"--trainer.devices {devices}: expected how many processes on a CPU, such as 1")
        missing = [index for index in requested if on_gpu and index >= gpus]
        if missing:
            raise UsageError(f"--trainer.devices {devices}: no device {missing[0]}; here: {available_devices()}")
    elif requested is not None:
        if requested == 0 or requested < -1:
            raise UsageError(f"--trainer.devices: expected at least 1, got {devices}")
        if requested == -1 and not on_gpu:
            raise UsageError(f"--trainer.devices {devices}: expected how many processes on a CPU, such as 1")
        # Processes on a CPU may be a few more than its cores: enough to try out on a laptop what is meant for a node.
        maximum = gpus if on_gpu else max(8, os.cpu_count() or 1)
        if requested > maximum:
            raise UsageError(f"--trainer.devices {devices}: expected at most {maximum}; here: {available_devices()}")


def _requested(devices: Any) -> int | list[int] | None:
    """The number of devices, or their indices; None where Lightning chooses or reports what is wrong."""
    try:
        if isinstance(devices, str) and "," in devices:
            return [int(index) for index in devices.split(",") if index.strip()]
        return [int(index) for index in devices] if isinstance(devices, list | tuple) else int(devices)
    except (TypeError, ValueError):
        return None
