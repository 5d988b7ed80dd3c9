"""Which weights an optimizer treats alike."""

from collections.abc import Collection
from typing import Any

from torch import nn

Group = dict[str, Any]


def head_of(model: nn.Module, names: Collection[str]) -> list[nn.Module]:
    """The layers that judge what the rest of a model, its backbone, has seen.

    Args:
        model: a whole one.
        names: where its head may be; if there is nothing of such a name, the last linear layer is its head.
    """
    modules = dict(model.named_modules())
    linear = [name for name, module in modules.items() if isinstance(module, nn.Linear)]
    return [modules[name] for name in [name for name in names if name in modules] or linear[-1:]]


def parameter_groups(
    part: nn.Module, head: Collection[nn.Module], defaults: Group, backbone_rate: float = 1.0
) -> list[Group]:
    """The weights of a part of a model, by how an optimizer is to treat them.

    Biases and the weights of normalisations, which have less than two dimensions, do not decay: nothing is learned
    by heart in them, and a scale that is pulled to zero only has to be made good by the next layer. Embeddings do.

    Args:
        part: of the model, or all of it.
        head: its layers that learn at the full rate.
        defaults: of the optimizer.
        backbone_rate: the rate of all other layers as a share of the full one.

    Returns:
        One group or several, those of the head first; frozen weights are in them, too, and may thaw.
    """
    of_head = {id(weight) for module in head for weight in module.parameters()}
    groups: dict[tuple[bool, bool], Group] = {}
    for weight in part.parameters():
        slow = backbone_rate != 1 and id(weight) not in of_head
        bare = bool(defaults.get("weight_decay")) and weight.dim() < 2
        name = "biases and norms" if bare else "weights"
        group = groups.setdefault((slow, bare), {"params": [], "name": f"backbone {name}" if slow else name})
        group["params"].append(weight)
        if slow:
            group["lr"] = backbone_rate * defaults["lr"]
        if bare:
            group["weight_decay"] = 0.0
    return [groups[kind] for kind in sorted(groups)]
