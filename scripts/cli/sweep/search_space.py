"""The search space of a sweep: for each option the values that it may have."""

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

from scripts.cli.errors import UsageError, did_you_mean

Distribution = Literal["log", "uniform", "int", "choice"]
DISTRIBUTIONS = get_args(Distribution)
EXAMPLES = "{log: [0.0001, 0.01]}, {uniform: [0, 0.5]}, {int: [1, 4]} or {choice: [32, 64]}"
OPTION = re.compile(r"[a-z_]+(\.\w+)+|seed_everything|save_every|timeout")  # not --allow, --logs or --resume
RATE = "model.optimizer.init_args.lr"


@dataclass(frozen=True)
class Dimension:
    """An option, and the values that it may have.

    Args:
        option: dotted, as a recipe has it.
        distribution: `log` or `uniform` between two bounds; `int`, integers between two bounds, both included; or
            `choice`, one of several values.
        values: the bounds, or the values as they are written on a command line.
    """

    option: str
    distribution: Distribution
    values: tuple[Any, ...]

    def suggest(self, trial: Any) -> list[str]:
        """The words of a command line that give the option the value which a trial of Optuna suggests.

        Raises:
            UsageError: the trial has a value from a file, and the option may not have it.
        """
        try:
            if self.distribution == "choice":
                value = trial.suggest_categorical(self.option, self.values)
            elif self.distribution == "int":
                value = trial.suggest_int(self.option, *self.values)
            else:
                value = trial.suggest_float(self.option, *self.values, log=self.distribution == "log")
        except (ValueError, TypeError) as error:
            raise UsageError(f"{self.option}: expected {self.distribution} {list(self.values)} ({error})") from None
        return self.words(self.check(value))

    def check(self, value: Any) -> Any:
        """The value, which may come from a file of earlier trials.

        Raises:
            UsageError: the option may not have it.
        """
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value not in self.values and (
            self.distribution == "choice" or not is_number or not self.values[0] <= value <= self.values[1]
        ):
            raise UsageError(f"{self.option}: expected {self.distribution} {list(self.values)}, got {value!r}")
        return value

    def words(self, value: Any) -> list[str]:
        """The words of a command line that give the option a value."""
        return [f"--{self.option}", str(value)]


def read_space(space: Any, where: str) -> list[Dimension]:
    """The dimensions of a search space, such as `{model.dropout: {uniform: [0, 0.5]}}`.

    Raises:
        UsageError: it is not a search space.
    """
    if not isinstance(space, dict) or not space:
        raise UsageError(f"{where}: expected options with what they may be, such as model.dropout: {EXAMPLES}")
    return [_dimension(f"{where}: {option}", str(option), choice) for option, choice in space.items()]


def _dimension(where: str, option: str, choice: Any) -> Dimension:
    if not OPTION.fullmatch(option):
        raise UsageError(f"{where}: expected an option of the model, the data or the training, such as model.dropout")
    if not isinstance(choice, dict) or len(choice) != 1:
        raise UsageError(f"{where}: expected {EXAMPLES}, got {choice!r}")
    ((distribution, values),) = choice.items()
    if distribution not in DISTRIBUTIONS:
        hint = did_you_mean(str(distribution), DISTRIBUTIONS)
        raise UsageError(f"{where}: {distribution}: expected one of {', '.join(DISTRIBUTIONS)}{hint}")
    if not isinstance(values, list):
        raise UsageError(f"{where}: {distribution}: expected a list, got {values!r}")
    if distribution == "choice":
        words = tuple(value if isinstance(value, str) else json.dumps(value) for value in values)
        if any(word.startswith("--") for word in words):
            raise UsageError(f"{where}: choice: expected values, and no further options, got {values}")
        if len(set(words)) < max(len(words), 2):
            raise UsageError(f"{where}: choice: expected two or more different values, got {values}")
        return Dimension(option, distribution, words)
    bounds = tuple(_bound(where, distribution, value) for value in values)
    if len(bounds) != 2 or not bounds[0] < bounds[1]:
        raise UsageError(f"{where}: {distribution}: expected a lower and an upper bound, got {values}")
    if distribution == "log" and bounds[0] <= 0:
        raise UsageError(f"{where}: log: expected bounds above 0, got {values}")
    return Dimension(option, distribution, bounds)


def _bound(where: str, distribution: Distribution, value: Any) -> float:
    try:
        bound = float(value) if not isinstance(value, bool) else math.nan  # YAML reads 1e-4 as a string
    except (TypeError, ValueError):
        bound = math.nan
    if not math.isfinite(bound) or (distribution == "int" and bound % 1):
        raise UsageError(
            f"{where}: {distribution}: expected {'whole ' if distribution == 'int' else ''}numbers, got {value!r}"
        )
    return int(bound) if distribution == "int" else bound


def around(rate: float) -> list[Dimension]:
    """The default search space: learning rates from a tenth of the recipe's own to ten times that."""
    return [Dimension(RATE, "log", (rate / 10, rate * 10))]


def without_given(space: list[Dimension], words: list[str]) -> list[Dimension]:
    """The dimensions whose options the command line does not give."""
    given = {_short(word.split("=")[0].removeprefix("--")) for word in words if word.startswith("--")}
    return [dimension for dimension in space if _short(dimension.option) not in given]


def _short(option: str) -> str:
    return option.replace(".init_args.", ".")
