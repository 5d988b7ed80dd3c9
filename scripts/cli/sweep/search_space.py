"""What a sweep tries: for each option the values that it may have."""

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

from scripts.cli.errors import UsageError, did_you_mean

Kind = Literal["log", "uniform", "int", "choice"]
EXAMPLES = "{log: [0.0001, 0.01]}, {uniform: [0, 0.5]}, {int: [1, 4]} or {choice: [32, 64]}"
OPTION = re.compile(r"[a-z_]+(\.\w+)+|seed_everything|save_every|timeout")  # none that allows, or says where to write
RATE = "model.optimizer.init_args.lr"


@dataclass(frozen=True)
class Dimension:
    """An option, and what it may be.

    Args:
        option: dotted, as a recipe has it.
        kind: numbers between two bounds, their logarithms or they themselves equally likely; whole numbers between two
            bounds, both included; or one of several values.
        values: the bounds, or the values as they are written on a command line.
    """

    option: str
    kind: Kind
    values: tuple[Any, ...]

    def suggested(self, trial: Any) -> list[str]:
        """The words of a command line that give the option the value which a trial of Optuna suggests.

        Raises:
            UsageError: an earlier trial's value was to be tried again, and the option may not have it.
        """
        try:
            if self.kind == "choice":
                value = trial.suggest_categorical(self.option, self.values)
            elif self.kind == "int":
                value = trial.suggest_int(self.option, *self.values)
            else:
                value = trial.suggest_float(self.option, *self.values, log=self.kind == "log")
        except (ValueError, TypeError) as error:
            raise UsageError(f"{self.option}: expected {self.kind} {list(self.values)} ({error})") from None
        return self.words(self.checked(value))

    def checked(self, value: Any) -> Any:
        """The value, which a file of earlier trials may have brought.

        Raises:
            UsageError: it is none of those that the option may have.
        """
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value not in self.values and (
            self.kind == "choice" or not is_number or not self.values[0] <= value <= self.values[1]
        ):
            raise UsageError(f"{self.option}: expected {self.kind} {list(self.values)}, got {value!r}")
        return value

    def words(self, value: Any) -> list[str]:
        """The words of a command line that give the option a value."""
        return [f"--{self.option}", str(value)]


def read_space(space: Any, where: str) -> list[Dimension]:
    """The dimensions of a search space, such as `{model.dropout: {uniform: [0, 0.5]}}`.

    Raises:
        UsageError: it is not one.
    """
    if not isinstance(space, dict) or not space:
        raise UsageError(f"{where}: expected options with what they may be, such as model.dropout: {EXAMPLES}")
    return [_dimension(f"{where}: {option}", str(option), choice) for option, choice in space.items()]


def _dimension(where: str, option: str, choice: Any) -> Dimension:
    if not OPTION.fullmatch(option):
        raise UsageError(f"{where}: expected an option of the model, the data or the training, such as model.dropout")
    if not isinstance(choice, dict) or len(choice) != 1:
        raise UsageError(f"{where}: expected {EXAMPLES}, got {choice!r}")
    ((kind, values),) = choice.items()
    kinds = get_args(Kind)
    if kind not in kinds:
        raise UsageError(f"{where}: {kind}: expected one of {', '.join(kinds)}{did_you_mean(str(kind), kinds)}")
    if not isinstance(values, list):
        raise UsageError(f"{where}: {kind}: expected a list, got {values!r}")
    if kind == "choice":
        words = tuple(value if isinstance(value, str) else json.dumps(value) for value in values)
        if any(word.startswith("--") for word in words):
            raise UsageError(f"{where}: choice: expected values, and no further options, got {values}")
        if len(set(words)) < max(len(words), 2):
            raise UsageError(f"{where}: choice: expected two or more different values, got {values}")
        return Dimension(option, kind, words)
    bounds = tuple(_number(where, kind, value) for value in values)
    if len(bounds) != 2 or not bounds[0] < bounds[1]:
        raise UsageError(f"{where}: {kind}: expected a lower and an upper bound, got {values}")
    if kind == "log" and bounds[0] <= 0:
        raise UsageError(f"{where}: log: expected bounds above 0, got {values}")
    return Dimension(option, kind, bounds)


def _number(where: str, kind: Kind, value: Any) -> float:
    try:
        number = float(value) if not isinstance(value, bool) else math.nan  # YAML takes 1e-4 for a text
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or (kind == "int" and number % 1):
        raise UsageError(f"{where}: {kind}: expected {'whole ' if kind == 'int' else ''}numbers, got {value!r}")
    return int(number) if kind == "int" else number


def around(rate: float) -> list[Dimension]:
    """What is tried where a recipe does not say: learning rates from a tenth of its own to ten times that."""
    return [Dimension(RATE, "log", (rate / 10, rate * 10))]


def without_given(space: list[Dimension], words: list[str]) -> list[Dimension]:
    """The dimensions whose options the command line does not settle."""
    given = {_short(word.split("=")[0].removeprefix("--")) for word in words if word.startswith("--")}
    return [dimension for dimension in space if _short(dimension.option) not in given]


def _short(option: str) -> str:
    return option.replace(".init_args.", ".")
