"""What a test keeps of each example, and what is made of it: a class for each type of problem."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from lightning_modules.tasks.results.intervals import Intervals
from lightning_modules.tasks.results.outcomes import Column, Outcomes


class Results(ABC):
    """What a test keeps of each example of one type of problem."""

    loss_name: ClassVar[str] = "loss"  # what the column `loss` is

    @abstractmethod
    def kept(self, batch: Any, prediction: Any, target: Any) -> dict[str, Column]:
        """The columns of a batch's outcomes, of B values each; `loss` is one of them.

        Args:
            batch: of the test split.
            prediction: as the test's metrics accept it.
            target: likewise.
        """

    @abstractmethod
    def rows(self, outcomes: Outcomes) -> dict[str, list[Any]]:
        """The columns of the file of predictions: `target` and `prediction` first, and `loss` last."""

    def intervals(self, outcomes: Outcomes) -> Intervals:
        """The 95 % intervals of the test's metrics, of those that have one."""
        return {}
