"""One line for what the user can correct; a traceback for what only we can."""

import difflib
import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from datamodules.errors import UserError
from datamodules.files.paths import printable

LONGEST = 4000  # characters of a message


class UsageError(UserError, ValueError):
    """Something the user typed or supplied is wrong; the message says what was found and what would be right."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that is closest to `word` in spelling, if any is close."""
    spelt = {name.lower(): name for name in known}
    match = difflib.get_close_matches(word.lower(), spelt, n=1, cutoff=0.5)
    return spelt[match[0]] if match else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean NAME?`, or nothing where no known name is close."""
    name = nearest(word, known)
    return f"; did you mean {name}?" if name else ""


@contextmanager
def user_errors(types: tuple[type[Exception], ...] = (ValueError, OSError)) -> Iterator[None]:
    """Around code that reads what the user supplied: there a ValueError or an OSError is one that the user can correct.

    Args:
        types: of the errors.

    Raises:
        UsageError: in place of either.
    """
    try:
        yield
    except UserError:
        raise
    except types as error:
        message = str(error)
        if isinstance(error, OSError) and error.filename:
            message = f"{os.fsdecode(error.filename)}: {error.strerror}"
        raise UsageError(message) from error


@contextmanager
def one_line_errors(debug: bool) -> Iterator[None]:
    """Print what the user can correct as one line and exit with its status; with `debug`, let the exception through."""
    print_anything()
    try:
        yield
    except UserError as error:
        if debug:
            raise
        message = " ".join(str(error).split())
        if len(message) > LONGEST:  # it quotes what a file holds
            message = f"{message[: LONGEST // 2]} … {message[-LONGEST // 2 :]}"
        if first_here():
            print(f"error: {printable(message)}", file=sys.stderr)
        raise SystemExit(error.status) from None
    except KeyboardInterrupt:  # before a run handles its signals, or the second time
        raise SystemExit(130) from None


def print_anything() -> None:
    """Have the screen escape what it cannot show, such as Chinese in a terminal that is not Unicode."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def first_here() -> bool:
    """Whether this is the first process on this machine: the others of a job would only repeat it."""
    return int(os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", 0))) == 0
