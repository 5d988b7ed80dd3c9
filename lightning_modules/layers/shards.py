"""Tells shards from whole tensors without importing what shards them, which takes a third as long as torch itself."""

import sys
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


def is_shard(value: Any) -> "TypeGuard[DTensor]":
    """Whether a value is a shard of a tensor, which none is before the module of their class is imported."""
    sharding = sys.modules.get("torch.distributed.tensor")
    return sharding is not None and isinstance(value, sharding.DTensor)
