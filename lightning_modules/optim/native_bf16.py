"""Which devices multiply bf16 in hardware."""

from functools import cache
from pathlib import Path

import torch


@cache
def multiplies_bf16(device: str) -> bool:
    """Whether a type of device, such as "cuda", multiplies bf16 natively; elsewhere it takes longer than 32 bits."""
    if device == "cuda":
        return torch.cuda.get_device_capability() >= (8, 0)
    if device == "cpu":
        flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
        wide = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
        return wide and ("amx_bf16" in flags or "avx512_bf16" in flags)
    return False
