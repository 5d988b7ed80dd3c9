"""What a run may ask for of the machine's devices."""

import os
from typing import Any

import torch

from scripts.cli.errors import UsageError


def there() -> str:
    """What this machine has, in words."""
    cores = f"{os.cpu_count()} CPU cores"
    if torch.cuda.is_available():
        names = {torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())}
        return f"{torch.cuda.device_count()} GPU ({', '.join(sorted(names))}) and {cores}"
    return f"an Apple GPU and {cores}" if torch.backends.mps.is_available() else f"no GPU and {cores}"


def check_devices(accelerator: Any, devices: Any) -> None:
    """Refuse devices that are not there, before anything is read or made.

    Args:
        accelerator: as given to the trainer; one that is an object is left to Lightning.
        devices: how many, or which by number.

    Raises:
        UsageError: there are none of the kind, or fewer.
    """
    kind = str(accelerator).lower()
    gpus = torch.cuda.device_count()
    if kind == "cuda" and not gpus:
        raise UsageError(f"--trainer.accelerator {accelerator}: expected a device that is here: {there()}")
    if kind == "gpu" and not gpus and not torch.backends.mps.is_available():
        raise UsageError(f"--trainer.accelerator {accelerator}: expected a device that is here: {there()}")
    if kind not in ("auto", "cpu", "gpu", "cuda"):
        return
    numbers = _numbers(devices)
    on_gpu = kind != "cpu" and gpus > 0
    if isinstance(numbers, list):
        if kind == "cpu" or not (gpus or torch.backends.mps.is_available()):
            raise UsageError(f"--trainer.devices {devices}: expected how many processes on a CPU, such as 1")
        missing = [number for number in numbers if on_gpu and number >= gpus]
        if missing:
            raise UsageError(f"--trainer.devices {devices}: there is no device {missing[0]}; here: {there()}")
    elif numbers is not None:
        if numbers == 0 or numbers < -1:
            raise UsageError(f"--trainer.devices: expected at least 1, got {devices}")
        # Processes on a CPU may be a few more than its cores: enough to try out on a laptop what is meant for a node.
        most = gpus if on_gpu else max(8, os.cpu_count() or 1)
        if numbers > most:
            raise UsageError(f"--trainer.devices {devices}: expected at most {most}; here: {there()}")


def _numbers(devices: Any) -> int | list[int] | None:
    """How many devices, or the numbers of which; None where Lightning chooses or has to say what is wrong."""
    try:
        if isinstance(devices, str) and "," in devices:
            return [int(number) for number in devices.split(",") if number.strip()]
        return [int(number) for number in devices] if isinstance(devices, list | tuple) else int(devices)
    except (TypeError, ValueError):
        return None
