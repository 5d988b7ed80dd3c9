"""Masks of dropout on a CPU, where torch spends a fifth of a Transformer's step on drawing them."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Generator, Tensor
from torch.library import Library

FEW = 2**14  # values, up to which 32 bits each are as fast
VALUES = 2**16  # of 16 bits


class DropoutMasks(Callback):
    """Draws, on a CPU and while training, what `bernoulli_` draws from 16 random bits instead of a number of 32.

    All dropout is of that operator: of modules, functions and attention, in libraries, too. It takes a quarter of the
    time. The probability of each value is the one asked for, not the nearest multiple of 2^-16.
    """

    def __init__(self) -> None:
        self._library: Library | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Draw so from now on."""
        if stage == "fit" and trainer.strategy.root_device.type == "cpu" and self._library is None:
            self._library = Library("aten", "IMPL")
            self._library.impl("bernoulli_.float", bernoulli_, "CPU", allow_override=True)

    def teardown(self, *args: Any, **kwargs: Any) -> None:
        """Draw as torch does, which follows from the end of the library's object."""
        self._library = None

    def on_exception(self, *args: Any, **kwargs: Any) -> None:
        """The same."""
        self._library = None


def bernoulli_(out: Tensor, p: float = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Set each value to one with a probability, else to zero.

    Args:
        out: of any shape and type; it is returned.
        p: from 0 to 1.
        generator: of the random numbers; torch's own by default.

    Raises:
        ValueError: p is none.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"bernoulli_: expected a probability from 0 to 1, got {p}")
    size = out.numel()
    if size < FEW or p * VALUES < 1:
        if out.dtype == torch.float32:
            return out.uniform_(generator=generator).lt_(p)
        return torch.lt(torch.rand(out.shape, generator=generator), p, out=out)
    whole, part = divmod(p * VALUES, 1)
    bound = int(whole) + int(torch.rand((), generator=generator) < part)  # p · VALUES in expectation
    quads = torch.empty(-(-size // 4), dtype=torch.int64).random_(-(2**63), None, generator=generator)
    bits = quads.view(torch.int16)[:size].view(out.shape)
    return torch.le(bits, bound - 1 - VALUES // 2, out=out)
