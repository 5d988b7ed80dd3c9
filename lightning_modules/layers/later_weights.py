"""Weights that a model has no memory for when it is built: they are made afterwards, one at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

_ARE_LEFT: ContextVar[bool] = ContextVar("weights are left to be made", default=False)


class LaterWeight(NamedTuple):
    """A weight on the device `meta`, without memory.

    Args:
        holders: modules that share it, each with its name there.
        make: its first value, drawn or read.
    """

    holders: list[tuple[nn.Module, str]]
    make: Callable[[], Tensor]


@runtime_checkable
class HasLaterWeights(Protocol):
    """A model whose weights may be made later; `later` has them in the order in which they are drawn."""

    later: list[LaterWeight]


@contextmanager
def weights_left(left: bool = True) -> Iterator[None]:
    """Leave the weights of models that are built in this context to a later `make_weights`, where models can do so."""
    token = _ARE_LEFT.set(left)
    try:
        yield
    finally:
        _ARE_LEFT.reset(token)


def make_weights(model: HasLaterWeights, place: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Make the weights of a model that have no memory yet.

    Args:
        model: it has none of them left afterwards.
        place: what is kept of a value, given the weight without memory that it is for.
    """
    for weight in model.later:
        module, own = weight.holders[0]
        empty = getattr(module, own)
        if empty.device.type == "meta":  # else someone has given it a value
            made = nn.Parameter(place(weight.make(), empty), requires_grad=empty.requires_grad)
            for module, own in weight.holders:
                setattr(module, own, made)
    model.later = []


def make_by(model: nn.Module, name: str, make: Callable[[], Tensor]) -> None:
    """Have another value made of a weight that is made later, by any of its names."""
    module, own = name.rpartition(".")[::2]
    holder = (model.get_submodule(module), own)
    assert isinstance(model, HasLaterWeights), name
    index = next(index for index, weight in enumerate(model.later) if holder in weight.holders)
    model.later[index] = model.later[index]._replace(make=make)


def settle_weights(model: HasLaterWeights) -> None:
    """Make the weights now, unless they are left for later."""
    if not _ARE_LEFT.get():
        make_weights(model, lambda value, _: value)
