"""A logger of a service: one that refuses ends a run before its first step, and never a run that has begun."""

import functools
import re
import sys
import time
from collections.abc import Callable
from typing import Any

from callbacks.loggers.logger import Logger
from callbacks.run.run_folder import RunFolder
from datamodules.errors import UserError
from datamodules.files.paths import printable
from datamodules.storage.atomic_file import write_file

PAUSE = 20  # times as long as an attempt that failed has taken: waiting for a service costs a run 5 % of its time
LONGEST = 700  # characters of a service's own message
CALLS = (
    *("check", "begin", "log_metrics", "log_best", "log_image", "log_text", "log_table", "log_embedding"),
    *("finalize", "close"),
)


class LoggerError(UserError, ValueError):
    """A service that a run is to be logged to does not accept it, or cannot be reached."""

    is_agreed = True  # before the first step


class RemoteLogger(Logger):
    """A logger whose run has an identifier at a service; a resumed run continues that one.

    What fails before the first step is an error. What fails later is said once, and counted: the run goes on.

    Args:
        run: the run's folder, whose file `<package>_id` has the identifier, also of a run that was killed before its
            first checkpoint, or was resumed without this logger in between.
    """

    key: str  # of the identifier in a checkpoint

    def __init__(self, run: RunFolder) -> None:
        super().__init__(run)
        self.id: str | None = None
        self.missed = 0  # calls that have failed since the run has begun
        self._has_begun = False
        self._try_again_at = 0.0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Guard what calls the service."""
        super().__init_subclass__(**kwargs)
        for name in CALLS:
            if name in vars(cls):
                setattr(cls, name, _guarded(vars(cls)[name]))

    @property
    def run_name(self) -> str:
        """What the run is called there: `gat/version_0`, and before that of which sweep or folds it is one."""
        *above, model, version = self.run.path.parts
        part_of = above[-2:] if re.fullmatch(r"(trial|fold)_\d+", above[-1]) else []
        return "/".join([*part_of, model, version])

    def known_id(self) -> str | None:
        """The identifier, if the run has one: that of the checkpoint, or of the run's folder."""
        file = self.run.path / f"{self.package}_id"
        return self.id or (file.read_text(encoding="utf-8").strip() if file.exists() else None)

    def keep_id(self, identifier: str) -> None:
        """Write down the identifier of what has been started or continued."""
        self.id = identifier
        self.run.check()
        write_file(self.run.path / f"{self.package}_id", lambda file: file.write(f"{identifier}\n".encode()))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the run's identifier."""
        checkpoint[self.key] = self.id

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continue the run that the checkpoint is of."""
        self.id = checkpoint.get(self.key) or self.id

    def close(self) -> None:
        """Say how much has failed."""
        if self.missed:
            _note(f"--logger {self.package}: {self.missed} calls have failed, so not everything is logged there")
            self.missed = 0

    def attempt(self, name: str, call: Callable[[], None]) -> None:
        """Call the service.

        Raises:
            LoggerError: it fails, and the run has not begun.
        """
        if time.monotonic() < self._try_again_at:
            self.missed += 1
            return
        began = time.monotonic()
        try:
            call()
        except UserError:
            raise
        except Exception as error:  # each package has types of its own
            problem = f"--logger {self.package}: {described(error)}"
            if not self._has_begun:
                raise LoggerError(problem) from error
            self._try_again_at = time.monotonic() + PAUSE * (time.monotonic() - began)
            self.missed += 1
            if self.missed == 1:
                _note(f"{problem}; the run goes on, and what cannot be logged there is left out")
        else:
            self._has_begun = self._has_begun or name == "begin"


def described(error: Exception) -> str:
    """What an exception says, in one line; its type where it says nothing."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"


def _note(text: str) -> None:
    print(f"note: {printable(text)}", file=sys.stderr, flush=True)


def _guarded(method: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(method)
    def call(self: RemoteLogger, *args: Any, **kwargs: Any) -> None:
        self.attempt(method.__name__, lambda: method(self, *args, **kwargs))

    return call
