"""Examples of a split, for tests of models."""

from typing import Any

import torch

from datamodules.base import DataModule


def take(data: DataModule, split: str, rows: Any) -> Any:
    """A batch of the examples with these indices within a split."""
    assert data.splits is not None
    return data.examples(getattr(data.splits, split))[torch.as_tensor(rows)]
