"""Learning-rate schedules as factors of the base rate, one value a training step; and what a validation changes."""

import math
from collections.abc import Callable
from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

Schedule = Literal["constant", "step", "exponential", "linear", "cosine", "one_cycle", "plateau"]


def schedule_factor(name: Schedule, total: int, warmup: float = 0.0) -> Callable[[int], float]:
    """The factor by which a schedule multiplies the rate, as a function of the step.

    - constant: 1
    - step: a tenth after each third of the steps
    - exponential: down to a hundredth, by the same ratio at each step
    - linear: down to 0 in a straight line
    - cosine: down to 0 along half a cosine
    - one_cycle (Smith & Topin 2018, https://arxiv.org/abs/1708.07120): up from 1/25 over the first 30 % (or the
      warm-up's share, if any is given), down to 0 along half a cosine
    - plateau: 1, which validations change, see Plateau

    Args:
        name: of the schedule.
        total: number of optimizer steps in the run.
        warmup: share of the steps over which the rate first rises in a straight line from near 0.
    """
    if not 0 <= warmup < 1:
        raise ValueError(f"--model.warmup: expected a share of the steps, from 0 to below 1, got {warmup}")
    if name == "one_cycle":
        warmup = warmup or 0.3
    rise = round(warmup * total)

    def factor(step: int) -> float:
        if step < rise:
            share = (step + 1) / (rise + 1)
            return (1 + 24 * (1 - math.cos(math.pi * share)) / 2) / 25 if name == "one_cycle" else share
        done = min((step - rise) / max(total - rise, 1), 1.0)
        match name:
            case "constant" | "plateau":
                return 1.0
            case "step":
                return 0.1 ** min(int(done * 3), 2)
            case "exponential":
                return 0.01**done
            case "linear":
                return 1 - done
            case "cosine" | "one_cycle":
                return (1 + math.cos(math.pi * done)) / 2

    return factor


class Plateau(LambdaLR):
    """Lowers the rates whenever a metric has not been better for some validations; the next step has the new ones.

    torch's own knows no warm-up, and would not be told of every validation.

    Args:
        optimizer: whose rates they are.
        warmup: their factor as a function of the step, if nothing lowers them.
        mode: whether a `min` or a `max` of the metric is best.
        factor: by which they are multiplied.
        patience: validations in a row without a better value.
    """

    def __init__(
        self, optimizer: Optimizer, warmup: Callable[[int], float], mode: str, factor: float, patience: int
    ) -> None:
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.scale = 1.0
        self.best: float | None = None
        self.waited = 0  # validations
        super().__init__(optimizer, lambda step: warmup(step) * self.scale)

    def judge(self, value: float) -> None:
        """Take note of a validation's value."""
        score = value if self.mode == "max" else -value
        if score == score and (self.best is None or score > self.best):
            self.best, self.waited = score, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.scale, self.waited = self.scale * self.factor, 0
            for group, base, factor in zip(self.optimizer.param_groups, self.base_lrs, self.lr_lambdas, strict=True):
                group["lr"] = base * factor(self.last_epoch)
