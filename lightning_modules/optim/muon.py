"""Muon for the matrices of a network, and AdamW for the rest of its weights."""

from collections.abc import Callable, Iterable
from typing import Any

from torch import optim
from torch.optim import Optimizer

MATRICES = "matrices"  # in a group: whether Muon is to update it
NAMES = ("params", "lr", "weight_decay", MATRICES, "name", "initial_lr")  # of both, or of neither


class MuonAdamW(Optimizer):
    """Gradients of matrices are made orthogonal; embeddings, the head, norms and biases are for AdamW.

    Jordan et al. 2024, https://kellerjordan.github.io/posts/muon. The steps of matrices are scaled to the size of
    AdamW's (Liu et al. 2025, https://arxiv.org/abs/2502.16982), so that one learning rate and one weight decay serve
    both.

    Args:
        params: parameters, or groups of them, in which `matrices` says which are for Muon; by default those of two
            dimensions are.
        lr: learning rate.
        weight_decay: decoupled weight decay.
        momentum: of Muon.
        betas: of AdamW.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
    ) -> None:
        self._own: dict[bool, dict[str, Any]] = {
            True: {"momentum": momentum, "adjust_lr_fn": "match_rms_adamw"},
            False: {"betas": tuple(betas)},
        }
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, MATRICES: None})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, with all settings of the optimizer that updates it."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        if group[MATRICES] is None:
            group[MATRICES] = all(weight.dim() == 2 for weight in group["params"])
        inner = self._inner(group)
        for name, value in inner.defaults.items():
            if name not in NAMES:
                group.setdefault(name, value)

    def _inner(self, group: dict[str, Any]) -> Optimizer:
        """The optimizer that updates a group; with its state."""
        kind: Any = optim.Muon if group[MATRICES] else optim.AdamW
        inner: Optimizer = kind(group["params"], lr=group["lr"], **self._own[group[MATRICES]])
        inner.param_groups, inner.state = [group], self.state
        return inner

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """A step of all groups."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            self._inner(group).step()
        return loss
