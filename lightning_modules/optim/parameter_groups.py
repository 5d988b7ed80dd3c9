"""The parameter groups of an optimizer: weight decay and learning rate of each parameter."""

from collections.abc import Collection
from typing import Any

from torch import nn

from lightning_modules.optim.muon import MATRICES

Group = dict[str, Any]


def head_of(model: nn.Module, names: Collection[str]) -> list[nn.Module]:
    """The layers of a model's head, which classify the features of the rest, its backbone.

    Args:
        model: the complete model.
        names: names of the head's modules; if the model has none of them, the last linear layer is the head.
    """
    modules = dict(model.named_modules())
    linear = [name for name, module in modules.items() if isinstance(module, nn.Linear)]
    return [modules[name] for name in [name for name in names if name in modules] or linear[-1:]]


def parameter_groups(
    part: nn.Module, head: Collection[nn.Module], defaults: Group, backbone_rate: float = 1.0
) -> list[Group]:
    """The parameters of a model or a part of it, grouped by weight decay and learning rate.

    Biases and the weights of normalisation layers, which have less than two dimensions, do not decay: they cannot
    memorise examples, and the next layer would only make up for a scale that decays. Embeddings do.

    Args:
        part: the model, or a part of it.
        head: the layers with the full learning rate.
        defaults: the optimizer's defaults.
        backbone_rate: learning rate of all other layers, as a fraction of the full one.

    Returns:
        One group or several, those of the head first; frozen parameters are included, since they may be unfrozen. An
        optimizer with a default for `matrices` is told of each group whether it has the matrices between layers.
    """
    head_ids = {id(weight) for module in head for weight in module.parameters()}
    between = _between_layers(part, head_ids) if MATRICES in defaults else set()
    groups: dict[tuple[bool, bool, bool], Group] = {}
    for weight in part.parameters():
        slow = backbone_rate != 1 and id(weight) not in head_ids
        exempt = bool(defaults.get("weight_decay")) and weight.dim() < 2
        name = "biases and norms" if exempt else "weights"
        if matrix := id(weight) in between:
            name = "matrices"
        key = (slow, exempt, matrix)
        group = groups.setdefault(key, {"params": [], "name": f"backbone {name}" if slow else name})
        group["params"].append(weight)
        if slow:
            group["lr"] = backbone_rate * defaults["lr"]
        if exempt:
            group["weight_decay"] = 0.0
        if MATRICES in defaults:
            group[MATRICES] = matrix
    return [groups[key] for key in sorted(groups)]


def _between_layers(part: nn.Module, head_ids: Collection[int]) -> set[int]:
    """The ids of matrices that make features of features: neither of embeddings nor of the head."""
    embeddings = {id(module.weight) for module in part.modules() if isinstance(module, nn.Embedding)}
    return {id(weight) for weight in part.parameters() if weight.dim() == 2} - embeddings - set(head_ids)
