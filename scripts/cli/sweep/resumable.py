"""A folder with a plan of runs, each a process of its own: created, resumed, carried out until the end or a signal."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any, TypeVar, get_origin

from callbacks.run.signals import Signals
from datamodules.files.paths import relative, user_path
from scripts.cli.command_line.argv import CommandLine
from scripts.cli.command_line.recipes import dump, read_yaml
from scripts.cli.errors import UsageError, user_errors
from scripts.cli.run.files import write_whole
from scripts.cli.run.folder import claim, lock, release
from scripts.cli.shell import command_line
from scripts.cli.sweep.plan import Plan, allow_words

P = TypeVar("P", bound=Plan)


def claim_locked(plan: Plan, logs: Path) -> Path:
    """Claim and lock a folder for a plan, which resumes as soon as `write_plan` has written the plan there."""
    folder = claim(logs, plan.name, Path(plan.file_name).stem)
    lock(folder, None)
    return folder


def write_plan(plan: Plan, folder: Path) -> None:
    """Write the plan's file."""
    write_whole(folder / plan.file_name, dump(asdict(plan)))


def allowed_names(words: list[str]) -> list[str]:
    """What `--allow` names."""
    return list(CommandLine(list(words)).values("--allow"))


def refuse_others(resumed: str, words: list[str], **options: Any) -> None:
    """Refuse any setting of what is resumed: it has its own.

    Raises:
        UsageError: one is given.
    """
    line = CommandLine(list(words))
    list(line.values("--allow"))
    given = [*line.words, *(f"--{name}" for name, value in options.items() if value is not None)]
    if given:
        raise UsageError(f"--resume {resumed} and {given[0]} contradict each other: it has its own settings")


def reopen(plan_type: type[P], resumed: str, allowed: list[str]) -> tuple[P, Path]:
    """The plan of an earlier start, and its folder, which is not locked yet.

    Args:
        plan_type: of the plan.
        resumed: the folder, as it was given.
        allowed: what `--allow` names now.

    Raises:
        UsageError: there is no valid plan, or something is not allowed now.
    """
    folder = user_path(resumed, "--resume").absolute()
    if not (folder / plan_type.file_name).is_file():
        raise UsageError(
            f"--resume {resumed}: no {plan_type.file_name} there; expected a folder such as {plan_type.example}"
        )
    plan = read_plan(plan_type, folder / plan_type.file_name)
    check_allowed(resumed, plan, allowed)
    plan.allowed = allowed
    return plan, folder


def read_plan(plan_type: type[P], file: Path) -> P:
    """The plan in a file, which may come from anybody: it says what to train, and allows nothing.

    Args:
        plan_type: a dataclass, whose fields are the keys of the file.
        file: as `write_plan` has written it.

    Raises:
        UsageError: a key is missing, unknown or of another type, or a value is not possible.
    """
    content = read_yaml(file, "--resume")
    known = {each.name: each for each in fields(plan_type)}
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
    plan = plan_type(**content)
    plan.check(file)
    return plan


def check_allowed(resumed: str, plan: Plan, allowed: list[str]) -> None:
    """Refuse to resume before the user has allowed again what was allowed at the start.

    A module that is allowed is looked for in the working folder. That is the user's, and not one that a file names.

    Args:
        resumed: the folder, as it was given.
        plan: as its file has it.
        allowed: what `--allow` names now.

    Raises:
        UsageError: something is not allowed now, or the file would choose where it is looked for.
    """
    if any(name not in allowed for name in plan.allowed):
        raise UsageError(
            f"--resume {resumed}: was started with {command_line(allow_words(plan.allowed))}, which no file can give; "
            f"add it again if you trust that code"
        )
    if allowed and Path(plan.place).resolve() != Path.cwd().resolve():
        raise UsageError(
            f"--allow {allowed[0]}: is looked for in the working folder, and {resumed} was started in another, "
            f"{plan.place}; resume it from there"
        )


@contextmanager
def running(plan: Plan, folder: Path, further: Sequence[str] = ()) -> Iterator[Signals]:
    """Within this the runs are carried out; afterwards the folder's lock is released.

    A signal is noted in what is given; after it, the process exits with its status and says how to resume.

    Args:
        plan: of the runs.
        folder: of the plan.
        further: words of the command line that resumes it.
    """
    signals = Signals()
    signals.install()
    try:
        with user_errors((OSError,)):
            yield signals
    finally:
        signals.uninstall()
        release()
    if signals.received:
        words = command_line(["--resume", relative(folder), *further, *allow_words(plan.allowed)])
        print(f"stopped; python scripts/{plan.script} {words} resumes it", file=sys.stderr)
        sys.exit(128 + signals.received)
