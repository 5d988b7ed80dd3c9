"""The folder of a run, which may be deleted while the run writes into it."""

import os
import weakref
from contextlib import suppress
from pathlib import Path

from datamodules.errors import UserError


class FolderGoneError(UserError, OSError):
    """A run's folder was deleted, moved or replaced during the run."""


class RunFolder:
    """A run's folder and that of its checkpoints, which must stay the same from when they first exist.

    The processes of a run agree on its path only when its loggers and callbacks are there already: `settle` gives it.

    Args:
        path: of the run's folder, where it is known.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path: Path | None = None
        self._known: dict[Path, os.stat_result] = {}
        if path is not None:
            self.settle(path)

    def settle(self, path: Path) -> None:
        """Make this the folder, from here on."""
        self._path = path
        self.check()

    @property
    def path(self) -> Path:
        """The run's folder."""
        assert self._path is not None, "settle() comes first"
        return self._path

    @property
    def checkpoints(self) -> Path:
        """The folder of its checkpoints."""
        return self.path / "checkpoints"

    def check(self) -> None:
        """Compare the folders with those found first.

        Raises:
            FolderGoneError: one was deleted, moved or replaced.
        """
        for folder in (self.path, self.checkpoints):
            known, found = self._known.get(folder), _stat(folder)
            if known is None and found is not None:
                self._known[folder] = found
                with suppress(OSError):  # kept open, its inode is not given to a new one; Windows opens no folders
                    weakref.finalize(self, os.close, os.open(folder, os.O_RDONLY))
            elif known is not None and (found is None or not os.path.samestat(found, known)):
                raise FolderGoneError(gone(folder, replaced=found is not None))


def _stat(folder: Path) -> os.stat_result | None:
    try:
        return folder.stat()
    except FileNotFoundError:
        return None


def gone(folder: Path, replaced: bool = False) -> str:
    """The message about a folder that was deleted, moved or replaced."""
    what = "replaced by another of this name" if replaced else "deleted or moved"
    return f"{folder}: this folder was {what} while the run was writing into it, so the run has ended"
