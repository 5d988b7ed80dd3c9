"""The features of a pretrained network, as they were before it was trained further."""

from typing import Any

import torch
from torch import Tensor, nn

from lightning_modules.optim.parameter_groups import head_of

AT_ONCE = 64  # examples


class PretrainedFeatures:
    """What the pretrained network of a model hands to its head, (B, …) → (B, D) on the CPU.

    The network is built again with its pretrained weights, when it is needed; it computes on the model's device.

    Args:
        model: a task that has started from pretrained weights.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.network: nn.Module | None = None

    def __call__(self, inputs: Tensor) -> Tensor:
        """The features of a batch."""
        if self.network is None:
            with torch.random.fork_rng():  # its head is initialised
                self.network = type(self.model)(**self.model.hparams).to(self.model.device).eval()
        found: list[Tensor] = []
        head = head_of(self.network, self.model.head_names)[0]
        hook = head.register_forward_pre_hook(lambda layer, given: found.append(given[0].flatten(1).float().cpu()))
        with torch.no_grad():
            for part in inputs.split(AT_ONCE):
                self.network(part.to(self.model.device))
        hook.remove()
        return torch.cat(found)


def pretrained_features(model: Any) -> PretrainedFeatures | None:
    """Those of a model that has started from the weights of another one; None of one from fresh weights."""
    return None if model.hparams.get("pretrained") is None else PretrainedFeatures(model)
