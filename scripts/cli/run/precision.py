"""The precision that `--trainer.precision auto` means on this machine."""

from pathlib import Path

import torch


def pick_precision(precision: str, accelerator: str) -> str:
    """bf16 for `auto` where the hardware multiplies it natively, 32 bits elsewhere; any other precision as it is."""
    if precision != "auto":
        return precision
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.get_device_capability() >= (8, 0) else "32"
    if on_cpu(accelerator):
        cpu = torch.backends.cpu.get_cpu_capability()
        flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
        if cpu.startswith("AVX512") and ("amx_bf16" in flags or "avx512_bf16" in flags):
            return "bf16-mixed"
    return "32"


def on_cpu(accelerator: str) -> bool:
    """Whether a run with this `--trainer.accelerator` computes on the CPU."""
    return accelerator == "cpu" or (
        accelerator == "auto" and not torch.cuda.is_available() and not torch.backends.mps.is_available()
    )
