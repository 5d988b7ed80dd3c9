"""The private parts of torch (2.11 to 2.14) that callbacks and strategies use, each for want of a public one."""

import os
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, distributed
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.optim import Optimizer

BatchNorm = _BatchNorm  # the base class of all batch norms, which has no public name
Convolution = _ConvNd  # that of all convolutions


def is_view(tensor: Tensor) -> bool:
    """Whether a tensor is a view of another one; only `Tensor._base` tells."""
    return tensor._base is not None


def unscales(optimizer: Optimizer) -> bool:
    """Whether an optimizer, such as a fused Adam, gets gradients as a GradScaler has scaled them; none says so."""
    return getattr(optimizer, "_step_supports_amp_scaling", False)


def compiler_cache() -> Path:
    """The folder of what torch.compile compiles, which is made; without a private function it is found out too late."""
    from torch._inductor.runtime.cache_dir_utils import cache_dir  # brings the compiler, which few runs need

    return Path(cache_dir())


def save_without_data(content: Any, file: IO[bytes]) -> list[int]:
    """Save content with room for the data of its tensors, which is not written.

    Args:
        content: no two of its tensors share memory.
        file: a new one on a disk; what was written to it is flushed.

    Returns:
        Where in the file the data of each tensor belongs, in the order of the content.
    """
    from torch._subclasses import FakeTensorMode  # under which torch.load says where data is, as its notes describe

    with torch.serialization.skip_data():
        torch.save(content, file)
    file.flush()
    places: list[int] = []
    with FakeTensorMode():
        found = torch.load(file.name, weights_only=True)
        apply_to_collection(found, Tensor, lambda tensor: places.append(tensor.untyped_storage()._checkpoint_offset))
    return places


def ask_no_driver() -> None:
    """Where there is no NVIDIA GPU, let torch not ask the driver for one at every step of an optimizer, 0.1 ms each.

    Lightning lets it ask in a way that leaves processes free to fork, which matters with a GPU only.
    """
    if not torch.cuda.is_available():
        os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)


def set_timeout(timeout: timedelta) -> None:
    """Change the timeout of the default process group; `torch.distributed.set_timeout` is public since 2.14."""
    (getattr(distributed, "set_timeout", None) or distributed.distributed_c10d._set_pg_timeout)(timeout)
