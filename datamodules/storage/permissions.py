"""Permissions of files in folders that are shared with a group."""

import os
import stat
from pathlib import Path


def share(path: Path) -> None:
    """Give a file or folder the group of its parent folder, and this group the permissions that it has there.

    The permissions by the user's umask are kept.
    """
    if not hasattr(os, "chown"):  # Windows, where permissions are inherited
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
    """Create a folder and its missing parents, shared like the existing one."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        share(each)


def share_all(folder: Path) -> None:
    """Share a folder and everything in it."""
    share(folder)
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            share(Path(place) / name)
