"""Muon for the matrices of a network, and AdamW for the rest of its weights."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, optim
from torch.optim import Optimizer

from lightning_modules.optim.native_bf16 import multiplies_bf16

MATRICES = "matrices"  # in a group: whether Muon is to update it


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
        self._momentum, self._betas = momentum, betas
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, MATRICES: None})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, with all settings of what updates it."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        if group[MATRICES] is None:
            group[MATRICES] = all(weight.dim() == 2 for weight in group["params"])
        if group[MATRICES]:
            group.setdefault("momentum", self._momentum)
            return
        for name, value in self._adamw(group).defaults.items():
            group.setdefault(name, value)

    def _adamw(self, group: dict[str, Any]) -> Optimizer:
        """The optimizer that updates a group of other weights than matrices; with its state."""
        inner = optim.AdamW(group["params"], lr=group["lr"], betas=self._betas)
        inner.param_groups, inner.state = [group], self.state
        return inner

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """A step of all groups."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            if group[MATRICES]:
                self._update_matrices(group)
            else:
                self._adamw(group).step()
        return loss

    @torch.no_grad()
    def _update_matrices(self, group: dict[str, Any]) -> None:
        rate, momentum = group["lr"], group["momentum"]
        for matrix in group["params"]:
            if matrix.grad is None:
                continue
            state = self.state[matrix]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(matrix)
            average = state["momentum_buffer"]
            average.lerp_(matrix.grad, 1 - momentum)
            direction = orthogonal(matrix.grad.lerp(average, momentum))  # Nesterov's
            matrix.mul_(1 - rate * group["weight_decay"])
            matrix.add_(direction, alpha=-rate * 0.2 * max(matrix.shape) ** 0.5)


def orthogonal(matrix: Tensor) -> Tensor:
    """The orthogonal matrix nearest to a matrix, roughly: its singular values become 0.7 to 1.2.

    Five Newton-Schulz iterations, with the coefficients of Jordan et al., in bf16 only where the device multiplies it:
    torch's Muon does everywhere, and takes ten times as long where a CPU does not.
    """
    kind = torch.bfloat16 if multiplies_bf16(matrix.device.type) else torch.float32
    wide = (matrix.T if matrix.shape[0] > matrix.shape[1] else matrix).to(kind)
    wide = wide / wide.norm().clamp(min=1e-7)  # no singular value is above 1
    for _ in range(5):
        gram = wide @ wide.T
        factor = torch.addmm(gram, gram, gram, beta=-4.775, alpha=2.0315)
        wide = torch.addmm(wide, factor, wide, beta=3.4445)
    return wide.T if matrix.shape[0] > matrix.shape[1] else wide
