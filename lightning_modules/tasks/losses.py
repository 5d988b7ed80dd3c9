"""Losses of classification."""

import torch
from torch import Tensor
from torch.nn import functional as F


def class_probabilities(target: Tensor, num_classes: int) -> Tensor:
    """(B,) → (B, C), one-hot; targets of mixed images, which already are probabilities, as they are."""
    return target if target.is_floating_point() else F.one_hot(target, num_classes)


def class_losses(logits: Tensor, target: Tensor, gamma: float = 0.0, label_smoothing: float = 0.0) -> Tensor:
    """`-Σ_k t_k (1 - p_k)^γ log p_k`, of each example: cross-entropy if γ is 0, else the focal loss.

    Focal loss: Lin et al. 2017, https://arxiv.org/abs/1708.02002. Label smoothing: Szegedy et al. 2016, section 7,
    https://arxiv.org/abs/1512.00567.

    Args:
        logits: (B, C)
        target: (B,) classes, or (B, C) probabilities.
        gamma: γ, the focusing parameter; the larger, the less weight confidently classified examples have.
        label_smoothing: ε, fraction of each target that is distributed evenly over all classes.

    Returns:
        (B,)
    """
    if gamma == 0:
        return F.cross_entropy(logits, target, reduction="none", label_smoothing=label_smoothing)
    classes = logits.shape[1]
    logs = logits.float().log_softmax(-1)
    smoothed = (1 - label_smoothing) * class_probabilities(target, classes).to(logs) + label_smoothing / classes
    modulation = (1 - logs.exp()).clamp(min=torch.finfo(logs.dtype).eps)  # at 0 its power has no gradient if γ < 1
    return -(smoothed * modulation**gamma * logs).sum(-1)
