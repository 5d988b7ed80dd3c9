"""The table of subcommands: the options of each, besides those of a run, and its function."""

import importlib
import platform
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from scripts.cli.command_line.argv import CommandLine, answer_help
from scripts.cli.command_line.course import show_course
from scripts.cli.command_line.kept_options import answer
from scripts.cli.command_line.recipes import ROOT, Request, resolve, show_list
from scripts.cli.command_line.spellings import with_array_task
from scripts.cli.errors import UsageError, misspelt, one_line_errors
from scripts.cli.run.library_messages import quiet


class Option(NamedTuple):
    """An option of a subcommand.

    Args:
        question: the error where it is missing; empty where it is optional.
        unless: another option, beside which it may be missing.
        repeated: whether it may be given several times.
        several: whether all words up to the next option are its values.
        flag: whether it has no value; it is True where it is given.
        value: makes a value of the option's name and text.
    """

    question: str = ""
    unless: str = ""
    repeated: bool = False
    several: bool = False
    flag: bool = False
    value: Callable[[str, str], Any] = lambda option, text: text

    def take(self, name: str, line: CommandLine) -> Any:
        """Its value, or a list where there may be several; None where a single one is missing."""
        if self.flag:
            given = name in line.words
            line.words = [word for word in line.words if word != name]
            return given
        if self.several:
            texts = []
            while name in line.words:
                texts += line.values_after(name)
            texts += line.values(name)  # of `name=value`
        elif self.repeated:
            texts = [*line.values(name)]
        else:
            texts = [text for text in [line.value(name)] if text is not None]
        if not texts and self.question and not (self.unless and line.mentions(f"--{self.unless}")):
            raise UsageError(self.question + misspelt(name, line.words))
        values = [self.value(name, text) for text in texts]
        return values if self.several or self.repeated else values[0] if values else None


def at_least(minimum: int) -> Callable[[str, str], int]:
    """The value of an option that counts something."""

    def value(option: str, text: str) -> int:
        (text,) = with_array_task([text])
        if not text.isdecimal() or int(text) < minimum:
            raise UsageError(f"{option}: expected a whole number of at least {minimum}, got {text}")
        return int(text)

    return value


def number(option: str, text: str) -> float:
    """The value of an option that is a number."""
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{option}: expected a number, got {text}") from None


class Subcommand(NamedTuple):
    """What a script does.

    Args:
        function: `module:name`, imported when the options below are in order: torch takes seconds.
        options: of its own, which become the function's arguments.
        is_run: whether the rest of the command line describes a run, which is resolved first.
        also_without_run: whether it does something where the command line names no model, configuration or run.
        starts_runs: whether the words go on to other processes, and `--debug` among them.
    """

    function: str
    options: dict[str, Option] = {}  # noqa: RUF012 (never changed)
    is_run: bool = False
    also_without_run: bool = False
    starts_runs: bool = False


PRINTING = ("--print_config", "--check")  # instead of a run
TEXT = Option()
WHICH_MODEL = "which model? Give --checkpoint, a checkpoint or the folder of a run"
WHICH_INPUT = "predict what? Give --input, a file or a folder, or - for the standard input; or --example TEXT"
CHECKPOINT, CHECKPOINTS = Option(WHICH_MODEL), Option(WHICH_MODEL, repeated=True)

SUBCOMMANDS = {
    "fit": Subcommand("scripts.cli.run.experiment:fit", is_run=True),
    "test": Subcommand(
        "scripts.cli.evaluate.testing:test_each",
        {"checkpoint": CHECKPOINTS, "average": TEXT, "data": Option(several=True)},
    ),
    "predict": Subcommand(
        "scripts.cli.evaluate.prediction:predict",
        {
            "checkpoint": CHECKPOINTS,
            "average": TEXT,
            "input": Option(WHICH_INPUT, unless="example", several=True),
            "example": Option(repeated=True),
            "output": TEXT,
        },
    ),
    "export": Subcommand(
        "scripts.cli.export.formats:export",
        {
            "checkpoint": CHECKPOINT,
            "data": TEXT,
            "format": Option("as what? Give --format safetensors, onnx or torch", repeated=True),
            "output": Option("where to? Give --output, a file"),
        },
    ),
    "chat": Subcommand(
        "scripts.cli.evaluate.chat:chat",
        {
            "checkpoint": CHECKPOINT,
            **dict.fromkeys(("prompt", "system"), TEXT),
            **dict.fromkeys(("temperature", "top_p", "min_p", "repetition"), Option(value=number)),
            **dict.fromkeys(("top_k", "max_tokens"), Option(value=at_least(1))),
            "seed": Option(value=at_least(0)),
        },
    ),
    "schedule": Subcommand("scripts.cli.measure.schedule_preview:draw", {"output": TEXT}, is_run=True),
    "find_rate": Subcommand(
        "scripts.cli.measure.lr_range_test:find_rate",
        {"steps": TEXT, "lowest": TEXT, "highest": TEXT, "output": TEXT},
        is_run=True,
    ),
    "benchmark": Subcommand(
        "scripts.cli.measure.command:benchmark",
        {
            "devices": Option(several=True, value=at_least(1)),
            "only": Option(several=True),
            **dict.fromkeys(("report", "json", "compare"), TEXT),
            "growth": Option(flag=True),
        },
        is_run=True,
        also_without_run=True,
        starts_runs=True,
    ),
    "sweep": Subcommand(
        "scripts.cli.sweep.sweep:sweep",
        {
            "trials": Option(value=at_least(1)),
            "space": TEXT,
            "unpruned": Option(value=at_least(1)),
            "resume": TEXT,
            "worker": Option(value=at_least(0)),
        },
    ),
    "cross_validate": Subcommand(
        "scripts.cli.sweep.cross_validation:cross_validate", {"folds": Option(value=at_least(2)), "resume": TEXT}
    ),
    "submit": Subcommand("scripts.cli.slurm:submit_run", starts_runs=True),
    "runs": Subcommand(
        "scripts.cli.runs.command:runs",
        {
            **dict.fromkeys(("logs", "sort", "format", "output", "metric", "lang"), TEXT),
            **dict.fromkeys(("model", "data", "status"), Option(repeated=True)),
            **dict.fromkeys(("partial", "stopped", "checkpoints", "yes"), Option(flag=True)),
            "older": Option(value=at_least(0)),
            "keep": Option(value=at_least(1)),
        },
    ),
    "new": Subcommand("scripts.cli.new:new", {"task": TEXT, "data": TEXT}),
}


def versions() -> str:
    """The versions of this project, where it is installed, and of what decides about a run."""
    found = [f"Python {platform.python_version()}"]
    for package in ("lightning-template", "torch", "lightning", "transformers"):
        with suppress(PackageNotFoundError):
            found.append(f"{package} {version(package)}")
    return ", ".join(found)


def run(name: str, words: list[str]) -> None:
    """Run a subcommand.

    Raises:
        SystemExit: with an error's status, after one line on the screen, if it is one that the user can correct.
    """
    quiet()
    subcommand = SUBCOMMANDS[name]
    with one_line_errors(debug="--debug" in words):
        line = CommandLine([word for word in words if word != "--debug" or subcommand.starts_runs])
        for word in words:
            if word in PRINTING and name != "fit":
                raise UsageError(f"{word}: only scripts/fit.py takes it, with --model or --config")
        if "--version" in words:
            print(versions())
            return
        if "--course" in words and "--list" not in words:
            raise UsageError("--course: it is an order of the listing; expected --list --course")
        if "--list" in words:
            (show_course if "--course" in words else show_list)()
            return
        of_run = subcommand.is_run and any(map(line.mentions, ("--model", "--config", "--resume")))
        if not of_run and answer_help(words, ROOT / "scripts" / f"{name}.py"):
            return
        options = {option: taker.take(f"--{option}", line) for option, taker in subcommand.options.items()}
        first = resolve(line.words) if of_run or (subcommand.is_run and not subcommand.also_without_run) else line.words
        if isinstance(first, Request):
            answer(first)
        module, _, function = subcommand.function.partition(":")
        getattr(importlib.import_module(module), function)(first, **options)
