"""What a model makes of its inputs before it classifies them, and its main directions."""

from typing import Any

import torch
from torch import Tensor, nn


def inputs_of(layer: nn.Module, model: nn.Module, inputs: Any) -> Tensor | None:
    """What a layer of a model is given for some inputs; None if it is not called, or with something else.

    Args:
        layer: of the model.
        model: is called with the inputs.
        inputs: of the model.
    """
    given: list[Any] = []
    handle = layer.register_forward_pre_hook(lambda _, args: given.append(args[0] if args else None))
    try:
        model(inputs)
    finally:
        handle.remove()
    found = given[0] if given else None
    return found.detach() if isinstance(found, Tensor) and found.layout == torch.strided else None


def principal_components(rows: Tensor, count: int = 2) -> Tensor:
    """The coordinates of rows along the directions in which they vary most, (N, count), the first the most.

    Pearson 1901, https://doi.org/10.1080/14786440109462720; computed from the rows' inner products, which are few where
    their features are many. Of each direction the row farthest from the middle is on the positive side.

    Args:
        rows: (N, F)
        count: of directions.
    """
    rows = rows.detach().flatten(1).cpu().double()
    rows = rows - rows.mean(0)
    values, vectors = torch.linalg.eigh(rows @ rows.T)
    found = vectors[:, -count:].flip(1) * values[-count:].flip(0).clamp(min=0).sqrt()  # (N, ≤ count)
    found = torch.cat([found, found.new_zeros(len(found), count - found.shape[1])], dim=1)
    farthest = found.gather(0, found.abs().argmax(0, keepdim=True))
    return found * torch.where(farthest < 0, -1.0, 1.0)
