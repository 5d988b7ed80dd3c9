"""The memory that a process keeps from step to step: freed blocks, and no more than that."""

import ctypes
import os
import sys

import psutil
import torch

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h
_NEVER = 2**31 - 1  # bytes; the largest that mallopt takes
_CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")  # of oneDNN, and of PyTorch's layer above it
_FEW = 64  # about one step's


def keep_memory() -> None:
    """Ask glibc to keep large blocks; elsewhere, and where the user has set it, do nothing.

    By default glibc maps each block above a few megabytes anew and unmaps it when it is freed, so that every step
    of a training run faults its activations in again, page by page.
    """
    if not sys.platform.startswith("linux") or "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library
        return
    mallopt(_M_MMAP_THRESHOLD, _NEVER)
    mallopt(_M_TRIM_THRESHOLD, _NEVER)


def forget_shapes() -> None:
    """Let oneDNN remember few shapes; where the user has set it, do nothing.

    For each shape it prepares a multiplication in bf16 of its own, and keeps the last 1,024. Where batches hardly ever
    have the same shape again, that is of no use: at 16,000 tokens a batch, one layer alone left 20 MB behind at every
    step. Images do have the same shape again, and a deep network has 300 of them, which it is slow to prepare anew.
    """
    for name in _CACHES:
        os.environ.setdefault(name, str(_FEW))


def held(device: torch.device) -> tuple[int, int]:
    """The peak memory of the process, and of its tensors on the GPU if there is one, in bytes; 0 if unknown."""
    in_gpu = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    if resource is None:
        return getattr(psutil.Process().memory_info(), "peak_wset", 0), in_gpu
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024), in_gpu
