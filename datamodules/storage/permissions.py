"""What others may do with the files that a shared folder gets."""

import os
import stat
from pathlib import Path


def share(path: Path) -> None:
    """Let the group of the folder that a file or folder was put into do with it what it may do with that folder.

    It has the permissions that the user's umask left, and keeps them.
    """
    if not hasattr(os, "chown"):  # Windows, where a folder hands its permissions on
        return
    own, above = path.stat(), path.parent.stat()
    allowed = stat.S_IRGRP | stat.S_IWGRP
    if path.is_dir():
        allowed |= stat.S_IXGRP | stat.S_ISGID
    try:
        if own.st_gid != above.st_gid:
            os.chown(path, -1, above.st_gid)
        path.chmod(stat.S_IMODE(own.st_mode) | (above.st_mode & allowed))
    except PermissionError:  # not a member of that group, or not the owner
        pass


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, shared as the one that is there."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        share(each)


def share_all(folder: Path) -> None:
    """Share a folder and all that is in it."""
    share(folder)
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            share(Path(place) / name)
