"""What a sweep or a cross-validation is to do."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from scripts.cli.command_line.recipes import check_name
from scripts.cli.errors import UsageError
from scripts.cli.shell import command_line
from scripts.cli.sweep.search_space import Dimension, read_space

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

# Options that a plan's words never contain: what only a command line may allow, and where runs are read and written.
FORBIDDEN = ("--allow", "--logs", "--resume")


def allow_words(names: list[str]) -> list[str]:
    """The words of a command line that allow these names."""
    return [word for name in names for word in ("--allow", name)]


@dataclass
class Plan:
    """Runs of one model, each a process of its own, that are carried out in turn.

    Args:
        name: of the model.
        words: options of fit.py that all runs share.
        place: the folder that paths in the words are relative to.
        allowed: what `--allow` named at the start, which has to be given again to resume.
    """

    file_name: ClassVar[str]
    script: ClassVar[str]
    example: ClassVar[str]  # of a folder with such a plan
    minimum: ClassVar[dict[str, int]]  # values of its integers

    name: str
    words: list[str]
    place: str
    allowed: list[str] = field(default_factory=list, kw_only=True)

    def check(self, file: Path) -> None:
        """Refuse values that a plan cannot have; their types are right.

        Args:
            file: that the values come from.

        Raises:
            UsageError: the message names the key.
        """
        check_name(self.name, f"{file}: name")
        for key in ("words", "allowed"):
            for word in getattr(self, key):
                if not isinstance(word, str) or "\0" in word:
                    raise UsageError(f"{file}: {key}: expected texts, got {word!r}")
        for word in self.words:
            option = word.partition("=")[0].strip()
            if option in FORBIDDEN:
                raise UsageError(
                    f"{file}: words: {word}: a file cannot give {option}; remove it"
                    f"{', and give it on the command line' if option == '--allow' else ''}"
                )
        if not Path(self.place).is_absolute() or not Path(self.place).is_dir():
            raise UsageError(f"{file}: place: expected an existing folder's full path, got {self.place!r}")
        for key, minimum in self.minimum.items():
            if getattr(self, key) < minimum:
                raise UsageError(f"{file}: {key}: expected at least {minimum}, got {getattr(self, key)}")


@dataclass
class FoldsPlan(Plan):
    """A cross-validation.

    Args:
        folds: number of folds.
    """

    file_name, script, example = "folds.yaml", "cross_validate.py", "lightning_logs/gat/folds_0"
    minimum: ClassVar = {"folds": 2}

    folds: int


@dataclass
class SweepPlan(Plan):
    """A sweep.

    Args:
        trials: number of trials.
        unpruned: number of trials that run to their end before any is pruned.
        space: the values of each option, as a recipe has them.
        monitor: the metric.
        mode: whether a `min` or a `max` of it is best.
        seed: of the sampler.
    """

    file_name, script, example = "sweep.yaml", "sweep.py", "lightning_logs/mlp/sweep_0"
    minimum: ClassVar = {"trials": 1, "unpruned": 1, "seed": 0}

    trials: int
    unpruned: int
    space: dict[str, Any]
    monitor: str
    mode: str
    seed: int

    def check(self, file: Path) -> None:
        """Refuse values that a plan cannot have; their types are right."""
        super().check(file)
        if self.mode not in ("min", "max"):
            raise UsageError(f"{file}: mode: expected min or max, got {self.mode!r}")
        read_space(self.space, f"{file}: space")

    @property
    def dimensions(self) -> list[Dimension]:
        """The search space."""
        return read_space(self.space, self.file_name)

    def command(self, trial: "FrozenTrial") -> str:
        """The command line that repeats a trial."""
        tried = [word for each in self.dimensions for word in each.words(trial.params[each.option])]
        return command_line(["python", "scripts/fit.py", *self.words, *allow_words(self.allowed), *tried])
