"""Learning-rate schedules: factors of the base learning rate at each training step, and reduction on a plateau."""

import math
from collections.abc import Callable
from enum import StrEnum
from typing import Literal, NamedTuple

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

Schedule = Literal["constant", "step", "exponential", "linear", "cosine", "one_cycle", "warmup_stable_decay", "plateau"]
FALLING = ("exponential", "linear", "cosine", "one_cycle", "warmup_stable_decay")  # which `final` is the end of
DECAY = 0.2  # fraction of the steps over which a stable learning rate falls at last


def schedule_factor(name: Schedule, total: int, warmup: float = 0.0, final: float = 0.0) -> Callable[[int], float]:
    """The factor of the learning rate as a function of the step.

    - constant: 1
    - step: divided by ten after each third of the steps
    - exponential: from 1 to 0.01, by the same ratio at each step
    - linear: from 1 to 0
    - cosine (Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983): from 1 to 0 along half a cosine
    - one_cycle (Smith & Topin 2018, https://arxiv.org/abs/1708.07120): from 1/25 to 1 over the first 30 % of the steps
      (or the warm-up's fraction, if any is given), then to 0 along half a cosine
    - warmup_stable_decay (Hu et al. 2024, https://arxiv.org/abs/2404.06395): 1, and over the last fifth of the steps
      linearly to 0
    - plateau: 1, reduced after validations, see Plateau

    Args:
        name: name of the schedule.
        total: number of optimizer steps in the run.
        warmup: fraction of the steps of a linear warm-up from near 0.
        final: what the factor falls to, instead of 0 (or, exponentially, of 0.01), if it falls.

    Raises:
        ValueError: the warm-up or the final factor is not from 0 to below 1.
    """
    if not 0 <= warmup < 1:
        raise ValueError(f"--model.warmup: expected a fraction of the steps, from 0 to below 1, got {warmup}")
    if not 0 <= final < 1:
        raise ValueError(
            f"--model.final_rate: expected a fraction of the learning rate, from 0 to below 1, got {final}"
        )
    if name == "one_cycle":
        warmup = warmup or 0.3
    rise = round(warmup * total)

    def factor(step: int) -> float:
        if step < rise:
            fraction = (step + 1) / (rise + 1)
            return (1 + 24 * (1 - math.cos(math.pi * fraction)) / 2) / 25 if name == "one_cycle" else fraction
        done = min((step - rise) / max(total - rise, 1), 1.0)
        match name:
            case "constant" | "plateau":
                return 1.0
            case "step":
                return 0.1 ** min(int(done * 3), 2)
            case "exponential":
                return (final or 0.01) ** done
            case "linear":
                left = 1 - done
            case "cosine" | "one_cycle":
                left = (1 + math.cos(math.pi * done)) / 2
            case "warmup_stable_decay":
                left = min(1.0, (total - step) / max(round(DECAY * total), 1))
        return final + (1 - final) * max(left, 0.0)

    return factor


class Tail(StrEnum):
    """What becomes of a schedule when a run is made longer.

    - continue: it spans the longer run, and goes on where that is.
    - restart: it begins anew, over the further steps (Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983).
    - hold: the learning rate stays as it was.
    """

    CONTINUE = "continue"
    RESTART = "restart"
    HOLD = "hold"


class Extension(NamedTuple):
    """Further steps of a run that had ended.

    Args:
        step: number of optimizer steps before.
        tail: what becomes of the schedule.
        factor: of the learning rate after these steps.
    """

    step: int
    tail: Tail
    factor: float

    def schedule_factor(self, name: Schedule, total: int, warmup: float, final: float) -> Callable[[int], float]:
        """As `schedule_factor`, for the further steps of a run of `total` steps."""
        if self.tail == Tail.HOLD:
            return lambda step: self.factor
        if self.tail == Tail.CONTINUE:
            return schedule_factor(name, total, warmup, final)
        factor = schedule_factor(name, total - self.step, warmup, final)
        return lambda step: factor(step - self.step)


class Plateau(LambdaLR):
    """Reduces the learning rates when a metric has stopped improving, from the next step on.

    torch's ReduceLROnPlateau has no warm-up, and Lightning would not step it after every validation.

    Args:
        optimizer: the optimizer.
        warmup: factor of the learning rates as a function of the step, before any reduction.
        mode: `min` or `max`, whichever of the metric is best.
        factor: the learning rates are multiplied by it.
        patience: number of validations in a row without improvement before a reduction.
    """

    def __init__(
        self, optimizer: Optimizer, warmup: Callable[[int], float], mode: str, factor: float, patience: int
    ) -> None:
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.scale = 1.0
        self.best: float | None = None
        self.waited = 0  # validations without improvement
        super().__init__(optimizer, lambda step: warmup(step) * self.scale)

    def judge(self, value: float) -> None:
        """Reduce the learning rates if this validation's value is the last that patience allows."""
        score = value if self.mode == "max" else -value
        if score == score and (self.best is None or score > self.best):
            self.best, self.waited = score, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.scale, self.waited = self.scale * self.factor, 0
            for group, base, factor in zip(self.optimizer.param_groups, self.base_lrs, self.lr_lambdas, strict=True):
                group["lr"] = base * factor(self.last_epoch)
