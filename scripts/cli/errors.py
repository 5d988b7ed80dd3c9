"""One line for what the user can correct; a traceback for what only we can."""

import difflib
import errno
import io
import os
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from datamodules.errors import UserError
from datamodules.files.paths import printable
from datamodules.loading.die_with_parent import LAUNCHER
from datamodules.storage.atomic_file import DENIED

PATIENCE = 10.0  # seconds in which processes that fail alike do so
LONGEST = 4000  # characters of a message
# What a system has no more of, open files, memory or processes: errors, and words of those that are no OSError.
USED_UP = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
USED_UP_WORDS = ("can't start new thread", "failed to map segment", "Cannot allocate memory")
NO_TEMPORARY = ("No usable temporary directory", "Matplotlib requires access to a writable cache directory")


class UsageError(UserError, ValueError):
    """Something the user typed or supplied is wrong; the message says what was found and what would be right."""


class MachineError(UserError):
    """What a run needs the machine has not, such as memory; the message says what may help."""

    status = 1


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those in whose handling it came up, the newest first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def of_system(error: BaseException) -> UserError | None:
    """The error in one line, if it is the system that denies something or has no more of it, whoever asked for that.

    A library may have wrapped the system's error in one of its own; then that quotes it.
    """
    if line := of_loader(error):
        return MachineError(line)
    if isinstance(error, MemoryError) or any(words in str(error) for words in USED_UP_WORDS):
        what = " ".join(str(error).split()) or "no memory is left"
        return MachineError(f"{what}; this process has used up its memory, or the user's processes: see ulimit -a")
    if isinstance(error, OSError) and any(words in str(error) for words in NO_TEMPORARY):
        return UsageError("no folder for temporary files can be written, /tmp included; set $TMPDIR to one that can")
    for cause in chain(error):
        if not isinstance(cause, OSError) or str(cause) not in str(error):
            continue
        where = f"{os.fsdecode(cause.filename)}: " if isinstance(cause.filename, str | bytes) else ""
        if cause.errno in DENIED:
            return UsageError(f"{where or 'a file cannot be written: '}{cause.strerror}")
        if cause.errno in USED_UP:
            return MachineError(f"{where}{cause.strerror}: a limit of this process or user is reached, see ulimit -a")
    return None


def of_loader(error: BaseException) -> str | None:
    """The message where a process that loads or prepares data was killed, or finds no memory to share."""
    if "unable to allocate shared memory" in str(error):
        return (
            "no shared memory is left for the processes that load data: --data.num_workers 0 needs none, and a larger "
            "/dev/shm (docker run --shm-size 8g) has more"
        )
    for cause in chain(error):  # it breaks in anywhere: in a save, torch's writer has the last word
        if "DataLoader worker (pid" in str(cause):  # not an error in one, which is told as it is
            reason = str(cause).strip().splitlines()[0]
            return f"a process that loads data was killed, perhaps for lack of memory ({reason})"
    for cause in chain(error):
        if isinstance(cause, ConnectionError | EOFError) and _takes_a_batch(cause):
            return f"a process that loads data was killed, perhaps for lack of memory ({cause or type(cause).__name__})"
    return None


def _takes_a_batch(error: BaseException) -> bool:
    """Whether a loader's process was gone while a batch came from it; errors of that process come whole."""
    files = [Path(frame.f_code.co_filename).as_posix() for frame, _ in traceback.walk_tb(error.__traceback__)]
    return all(any(part in file for file in files) for part in ("torch/utils/data/dataloader.py", "/multiprocessing/"))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that is closest to `word` in spelling, if any is close."""
    spelt = {name.lower(): name for name in known}
    match = difflib.get_close_matches(word.lower(), spelt, n=1, cutoff=0.5)
    return spelt[match[0]] if match else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean NAME?`, or nothing where no known name is close."""
    name = nearest(word, known)
    return f"; did you mean {name}?" if name else ""


def misspelt(option: str, words: Iterable[str]) -> str:
    """`; for --modle, did you mean --model?`, of an option that is missing; nothing where no word is nearly it."""
    given = {word.partition("=")[0].lower(): word.partition("=")[0] for word in words if word.startswith("-")}
    close = difflib.get_close_matches(option, [word for word in given if "." not in word], n=1, cutoff=0.75)
    return f"; for {given[close[0]]}, did you mean {option}?" if close else ""


@contextmanager
def user_errors(types: tuple[type[Exception], ...] = (ValueError, OSError)) -> Iterator[None]:
    """Around code that reads what the user supplied: there a ValueError or an OSError is one that the user can correct.

    Args:
        types: of the errors.

    Raises:
        UsageError: in place of either; MachineError where the system has no more of something.
    """
    try:
        yield
    except UserError:
        raise
    except types as error:
        told = of_system(error)
        if told is not None:
            raise told from error
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
    except KeyboardInterrupt:  # before a run handles its signals, or the second time
        raise SystemExit(130) from None
    except Exception as error:
        told = error if isinstance(error, UserError) else of_system(error)
        if debug or told is None:
            raise
        message = " ".join(str(told).split())
        if len(message) > LONGEST:  # it quotes what a file holds
            message = f"{message[: LONGEST // 2]} … {message[-LONGEST // 2 :]}"
        if reports_here(told.is_agreed):
            print(f"error: {printable(message)}", file=sys.stderr)
        drop_output()
        raise SystemExit(told.status) from None


def drop_output() -> None:
    """Drop what stdout cannot take, such as a file on a full disk: Python would complain of it at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_anything() -> None:
    """Have the screen escape what it cannot show, such as Chinese in a terminal that is not Unicode."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def reports_here(is_agreed: bool = False) -> bool:
    """Whether this process is to say what went wrong: the first on its machine does, and the others where it has not.

    What all of them find out at once, they would only repeat. One that has failed alone waits for the first to end, in
    vain, and says it then.

    Args:
        is_agreed: whether all of them raise it.
    """
    if int(os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", 0))) == 0:
        return True
    if is_agreed:
        return False
    time.sleep(PATIENCE)
    return _first_is_alive()


def _first_is_alive() -> bool:
    """Whether the first process on this machine is: this one's parent, or another child of that."""
    parent = os.getppid()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            process, state, its_parent = int(status.parent.name), *status.read_text().rpartition(")")[2].split()[:2]
            if state in "ZX" or parent not in (process, int(its_parent)):
                continue
            variables = (status.parent / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError):  # it has ended
            continue
        if process == parent and str(parent) == os.environ.get(LAUNCHER):
            return True
        if {b"LOCAL_RANK=0", b"SLURM_LOCALID=0"} & {*variables} and process != os.getpid():
            return True
    return not Path("/proc/self/stat").exists()  # where no process can be looked at, an error rather comes twice
