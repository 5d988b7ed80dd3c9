"""What a sweep is to do, and how its folder, or a cross-validation's, says so."""

from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_origin

from scripts.cli.command_line.recipes import check_name, read_yaml
from scripts.cli.errors import UsageError
from scripts.cli.shell import command_line
from scripts.cli.sweep.search_space import Dimension, read_space

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

T = TypeVar("T")

# What a plan's words never hold: what only a command line may allow, and where its runs are found and written.
NEVER = ("--allow", "--logs", "--resume")


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
        allowed: what `--allow` named when it began, which whoever resumes it has to give anew.
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
    allowed: list[str] = field(default_factory=list)

    @property
    def dimensions(self) -> list[Dimension]:
        """The search space."""
        return read_space(self.space, "sweep.yaml")

    def command(self, trial: "FrozenTrial") -> str:
        """The command line that repeats a trial."""
        tried = [word for each in self.dimensions for word in each.words(trial.params[each.option])]
        return command_line(["python", "scripts/fit.py", *self.words, *allow_words(self.allowed), *tried])


def allow_words(names: list[str]) -> list[str]:
    """The words of a command line that allow these names."""
    return [word for name in names for word in ("--allow", name)]


def read_plan(plan_type: type[T], file: Path) -> T:
    """The plan in a file, which may come from anybody: it says what to train, and allows nothing.

    Args:
        plan_type: a dataclass, whose fields are the keys of the file.
        file: as `dump` has written it.

    Raises:
        UsageError: a key is missing, unknown or of another type, or a word may not stand there.
    """
    content = read_yaml(file, "--resume")
    known = {each.name: each for each in fields(plan_type)}  # type: ignore[arg-type]
    for key in content:
        if key not in known:
            raise UsageError(f"{file}: {key}: unknown; expected {', '.join(known)}")
    for name, each in known.items():
        if name not in content:
            if each.default_factory is MISSING:
                raise UsageError(f"{file}: {name}: missing")
            continue
        expected: Any = get_origin(each.type) or each.type
        if type(content[name]) is not expected:
            raise UsageError(f"{file}: {name}: expected {expected.__name__}, got {content[name]!r:.60}")
    check_plan(content, file)
    return plan_type(**content)


def check_plan(content: dict[str, Any], file: Path) -> None:
    """Refuse values that a plan cannot have.

    Raises:
        UsageError: the message names the key.
    """
    check_name(content["name"], f"{file}: name")
    for key in ("words", "allowed"):
        for word in content.get(key, []):
            if not isinstance(word, str) or "\0" in word:
                raise UsageError(f"{file}: {key}: expected texts, got {word!r}")
    for word in content["words"]:
        option = word.partition("=")[0].strip()
        if option in NEVER:
            raise UsageError(
                f"{file}: words: {word}: a file cannot give {option}; remove it"
                f"{', and give it on the command line' if option == '--allow' else ''}"
            )
    if not Path(content["place"]).is_absolute() or not Path(content["place"]).is_dir():
        raise UsageError(f"{file}: place: expected an existing folder's full path, got {content['place']!r}")
    least = {"trials": 1, "unpruned": 1, "folds": 2, "seed": 0}
    for key, lowest in least.items():
        if key in content and content[key] < lowest:
            raise UsageError(f"{file}: {key}: expected at least {lowest}, got {content[key]}")
    if content.get("mode", "min") not in ("min", "max"):
        raise UsageError(f"{file}: mode: expected min or max, got {content['mode']!r}")
    if "space" in content:
        read_space(content["space"], f"{file}: space")


def check_allowed(resumed: str, began: list[str], given: list[str], place: str) -> None:
    """Refuse to resume before the user has allowed anew what was allowed at the beginning.

    A module that is allowed is looked for in the working folder. That is the user's, and not one that a file names.

    Args:
        resumed: the folder, as it was given.
        began: what the file says that `--allow` named.
        given: what it names now.
        place: the folder that the file names.

    Raises:
        UsageError: something is not allowed now, or the file would choose where it is looked for.
    """
    missing = [name for name in began if name not in given]
    if missing:
        raise UsageError(
            f"--resume {resumed}: was started with {command_line(allow_words(began))}, which no file can give; "
            f"add it again if you trust that code"
        )
    if given and Path(place).resolve() != Path.cwd().resolve():
        raise UsageError(
            f"--allow {given[0]}: is looked for in the working folder, and {resumed} was started in another, {place}; "
            f"resume it from there"
        )
