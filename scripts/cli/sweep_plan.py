"""What a sweep is to do."""

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.cli.search_space import Dimension, read_space

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


@dataclass
class Plan:
    """What a sweep is to do; `sweep.yaml` in its folder.

    Args:
        name: of the model.
        words: of each trial's command line, those that differ from trial to trial left out.
        place: the folder that the words' paths are relative to.
        trials: how many.
        unpruned: how many run to their end before any is stopped early.
        space: the values of each option, as a recipe has them.
        monitor: the metric.
        mode: whether a `min` or a `max` of it is best.
        seed: of what is suggested.
    """

    name: str
    words: list[str]
    place: str
    trials: int
    unpruned: int
    space: dict[str, Any]
    monitor: str
    mode: str
    seed: int

    @property
    def dimensions(self) -> list[Dimension]:
        """The search space."""
        return read_space(self.space, "sweep.yaml")

    def command(self, trial: "FrozenTrial") -> str:
        """The command line that repeats a trial."""
        tried = [word for each in self.dimensions for word in each.words(trial.params[each.option])]
        return shlex.join(["python", "scripts/fit.py", *self.words, *tried])
