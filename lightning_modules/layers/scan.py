"""A loop over time as one operation: torch.export and ONNX can write it down for sequences of any length."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

Step = Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, Tensor]]  # state and inputs to the new state and an output


def scan(step: Step, state: Tensor, inputs: tuple[Tensor, ...], reverse: bool = False) -> tuple[Tensor, Tensor]:
    """The last state (B, D), and the outputs of all steps (B, T, …).

    Args:
        step: of the loop.
        state: (B, D), the first.
        inputs: (B, T, …) each, one step of which `step` is given, (B, …).
        reverse: from the last step to the first.
    """
    from torch._higher_order_ops import scan as scan_operator  # brings torch._dynamo, which training does not need

    over_time = tuple(part.transpose(0, 1).contiguous() for part in inputs)
    last, outputs = scan_operator(step, state, over_time, reverse=reverse)
    return last, outputs.transpose(0, 1)


def scanned_gru(gru: nn.GRU, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """A bidirectional GRU over padded sequences, as over packed ones.

    Args:
        gru: layers in evaluation mode, batch first.
        x: (B, T, E)
        mask: (B, T), true where there is a token.

    Returns:
        The features of every token, (B, T, 2 · H), meaningless in the padding, and the last ones of both directions.
    """
    weights = gru.all_weights  # those of each layer's forward direction, then of its backward one
    for layer in range(gru.num_layers):
        forth = _one_direction(x, mask, weights[2 * layer], reverse=False)
        back = _one_direction(x, mask, weights[2 * layer + 1], reverse=True)
        last, x = (torch.cat(both, dim=-1) for both in zip(forth, back, strict=True))
    return x, last


def _one_direction(x: Tensor, mask: Tensor, weights: Sequence[Tensor], reverse: bool) -> tuple[Tensor, Tensor]:
    """The last state (B, H) and all states (B, T, H); in the padding the state stays as it is."""

    def step(h: Tensor, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        token, is_token = inputs
        h = torch.where(is_token, torch.gru_cell(token, h, *weights), h)
        return h, h.clone()

    state = x.new_zeros(x.shape[0], weights[1].shape[1])
    return scan(step, state, (x, mask[..., None]), reverse)
