"""The running mean and variance of batch norms, in the first steps."""

import torch
from torch import Tensor, nn


def weight_of_batch(step: int) -> float:
    """The weight of a batch in the running statistics after so many steps, where it is more than their momentum."""
    return 9 / (10 + step)


class StatisticsWarmup:
    """Running statistics that follow the network sooner in the first steps, when it changes most.

    With a momentum of 0.1 a run of ten steps would be evaluated with the mean and variance of what the network was, and
    of what they were initialised with. The weight of a batch is 9 / (10 + n) after n steps instead, as in the running
    mean of weights (callbacks/averaging.py), until that is the momentum.

    The batch norms themselves are left alone: a momentum that changes would be compiled anew at every step.

    Args:
        network: with batch norms.
    """

    def __init__(self, network: nn.Module) -> None:
        self.norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        self.kept: list[tuple[Tensor, Tensor, float]] = []  # statistics, what they were, and how much further they go

    def keep(self, step: int) -> None:
        """Keep the statistics, before a batch."""
        self.kept = []
        for norm in self.norms:
            factor = weight_of_batch(step) / (norm.momentum or 1)
            for statistic in (norm.running_mean, norm.running_var):
                if factor > 1 and statistic is not None:
                    self.kept.append((statistic, statistic.clone(), factor))

    @torch.no_grad()
    def follow(self) -> None:
        """Go further the way the statistics went, after the backward pass, which reads them."""
        for statistic, before, factor in self.kept:
            statistic.copy_(before.lerp(statistic, factor))
        self.kept = []
