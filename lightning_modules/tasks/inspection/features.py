"""The features that a network classifies, of some examples, and their principal components."""

from typing import Any

import torch
from torch import Tensor, nn

from lightning_modules.optim.parameter_groups import head_of


def head_inputs(model: nn.Module, inputs: Any, head_names: tuple[str, ...]) -> Tensor | None:
    """What the head of a network is given, (B, …); None where that is no tensor.

    Args:
        model: in evaluation; without a head that is called, its head is the layer with weights that is called last.
        inputs: of B examples.
        head_names: of the head's modules, of which the first one counts.
    """
    heads = head_of(model, head_names)[:1]
    given: dict[nn.Module, Tensor] = {}  # in the order of the calls

    def note(module: nn.Module, args: Any) -> None:
        if args and isinstance(args[0], Tensor) and args[0].layout == torch.strided:
            given[module] = args[0]

    layers = [module for module in model.modules() if next(module.parameters(recurse=False), None) is not None]
    hooks = [module.register_forward_pre_hook(note) for module in {*layers, *heads}]
    try:
        model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    found = next((given[head] for head in heads if head in given), [None, *given.values()][-1])
    nodes = getattr(inputs, "nodes", None)  # of a graph, whose layers have all of its nodes
    return found if found is None or nodes is None or len(found) == len(nodes) else found[nodes]


def principal_components(vectors: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The vectors in the directions of their largest variance, (N, count), and its fraction in each, (count,).

    Pearson 1901; by the eigenvectors of the (N, N) matrix of their products, which is exact and samples nothing. A
    direction's sign is that which makes the largest coordinate positive. There are no more than N or F directions.

    Args:
        vectors: (N, F), finite.
        count: maximum number of components.
    """
    centred = vectors.double() - vectors.double().mean(0)
    values, directions = torch.linalg.eigh(centred @ centred.T)  # in ascending order
    count = min(count, *vectors.shape)
    values, directions = values.flip(0)[:count].clamp(min=0), directions.flip(1)[:, :count]
    points = directions * values.sqrt()
    largest = points.gather(0, points.abs().argmax(0, keepdim=True))
    points = points * torch.where(largest < 0, -1.0, 1.0)
    return points, values / centred.square().sum().clamp(min=1e-12)
