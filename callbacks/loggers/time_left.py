"""How long a run is to be, and how much of that time is left."""

import math
from collections import deque

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Timer

UNKNOWN = math.inf


class Pace:
    """The seconds that one of many takes, by the newest of them.

    Args:
        points: that are remembered.
    """

    def __init__(self, points: int = 100) -> None:
        self.points: deque[tuple[float, int]] = deque(maxlen=points)

    def add(self, seconds: float, done: int) -> None:
        """Note how many have been done after so many seconds of some clock."""
        self.points.append((seconds, done))

    def seconds(self, now: float, done: int) -> float | None:
        """For one of them, if so many have been done now; None as long as that is unknown."""
        before, first = self.points[0] if self.points else (now, done)
        return (now - before) / (done - first) if done > first else None


def epochs_of(trainer: Trainer) -> int | None:
    """The number of epochs; None where it is unknown."""
    batches, limits = trainer.num_training_batches, []
    if (trainer.max_epochs or 0) > 0:
        limits.append(int(trainer.max_epochs or 0))
    if trainer.max_steps > 0 and batches < UNKNOWN:
        limits.append(math.ceil(trainer.max_steps / max(1, steps_of(trainer, int(batches)))))
    return min(limits, default=None)


def steps_of(trainer: Trainer, batches: int) -> int:
    """The optimizer steps that the first batches of an epoch make; the last of them may have fewer batches."""
    every = trainer.accumulate_grad_batches
    return math.ceil(batches / every) if batches >= trainer.num_training_batches else batches // every


def batches_left(trainer: Trainer, done: int, batches_a_step: float) -> float:
    """The batches until a run ends by its number of epochs or of steps.

    Args:
        trainer: of the run.
        done: batches of this epoch.
        batches_a_step: for each that `trainer.global_step` counts.
    """
    left = UNKNOWN
    if (trainer.max_epochs or 0) > 0:
        left = trainer.num_training_batches * ((trainer.max_epochs or 0) - trainer.current_epoch) - done
    if trainer.max_steps > 0:
        left = min(left, (trainer.max_steps - trainer.global_step) * batches_a_step)
    return max(left, 0)


def validations_left(trainer: Trainer, done: int, left: float, begun: bool) -> int:
    """The validations in what is left of a run.

    Args:
        trainer: of the run.
        done: batches of this epoch.
        left: batches until the end.
        begun: whether the validation that may follow the newest batch has, and is not to be counted.
    """
    batches, every, epochs = trainer.num_training_batches, trainer.val_check_batch, trainer.check_val_every_n_epoch
    if not every or every == UNKNOWN or not batches:  # after some time, or after an epoch of unknown length
        return 0

    def until(batch: int) -> int:
        if epochs is None or batches == UNKNOWN:
            return int(batch // every)
        epoch, within = divmod(batch, int(batches))
        last = int(within // every) if (epoch + 1) % epochs == 0 else 0
        return epoch // epochs * int(batches // every) + last

    now = done if batches == UNKNOWN else trainer.current_epoch * int(batches) + done
    return until(now + round(left)) - until(now if begun or not done else now - 1)


def limit_left(trainer: Trainer) -> float:
    """The seconds that `--trainer.max_time` leaves."""
    remaining = (each.time_remaining() for each in trainer.callbacks if isinstance(each, Timer))  # type: ignore[attr-defined]
    return max(0.0, min((seconds for seconds in remaining if seconds is not None), default=UNKNOWN))


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds, and hours where there are any."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def duration(seconds: float) -> str:
    """How long something took."""
    return (
        clock(seconds) if seconds >= 59.5 else f"{seconds:.{0 if seconds >= 9.95 else 1 if seconds >= 0.95 else 2}f} s"
    )
