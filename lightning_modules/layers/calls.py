"""What a layer of a network is called with, such as attention whose weights the network does not need."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import nn


class Call(NamedTuple):
    """A call of a layer.

    Args:
        args: its positional arguments.
        kwargs: its keyword arguments.
        output: what it returned.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any


@contextmanager
def calls_of(layer: nn.Module) -> Iterator[list[Call]]:
    """The calls of a layer, in their order, while the context is open."""
    calls: list[Call] = []
    hook = layer.register_forward_hook(
        lambda _, args, kwargs, output: calls.append(Call(args, kwargs, output)), with_kwargs=True
    )
    try:
        yield calls
    finally:
        hook.remove()
