"""Recomputes activations in the backward pass, so that less memory is needed."""

from functools import partial
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.utils.checkpoint import checkpoint

from callbacks.technique import Technique
from datamodules.base import DataModule
from lightning_modules.layers.sequence import blocks


class ActivationCheckpointing(Technique):
    """Stores the inputs of a Transformer's blocks only, and recomputes their activations in the backward pass.

    Chen et al. 2016, https://arxiv.org/abs/1604.06174. The gradients are the same, to the bit: dropout is sampled again
    from the same state. A step takes about a third longer. Convolutional networks are excluded: their batch norms
    would count every batch twice.

    Args:
        every: 1 for all blocks, 2 for every second one, and so on, from the first; by default none.

    Raises:
        ValueError: the value is out of its range.
    """

    def __init__(self, every: int | None = None) -> None:
        if every is not None and every < 1:
            raise ValueError(f"--activation_checkpointing.every: expected at least 1, got {every}")
        self.every = every

    @property
    def enabled(self) -> bool:
        """If `every` is set."""
        return self.every is not None

    def prepare(self, model: LightningModule, data: DataModule) -> None:
        """Reject a model without blocks.

        Raises:
            ValueError: it has none.
        """
        if not any(blocks(model)):
            raise ValueError(
                f"--activation_checkpointing.every {self.every}: computes the blocks of Transformers, BERTs, LLMs "
                f"twice, of which {type(model).__name__} has none; leave it out"
            )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Checkpoint the blocks, for as long as the model is trained."""
        if stage == "fit":
            for block in list(blocks(pl_module))[:: self.every]:
                block.forward = partial(_checkpointed, block, block.forward)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Restore the blocks."""
        if stage == "fit":
            for block in blocks(pl_module):
                vars(block).pop("forward", None)


def _checkpointed(block: nn.Module, forward: Any, *args: Any, **kwargs: Any) -> Any:
    if not block.training:
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)
