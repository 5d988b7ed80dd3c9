"""Paths and names as users and file systems have them: a name may not be text, and a path may not be a file."""

import os
import re
import stat
import unicodedata
from pathlib import Path

from datamodules.errors import DataError

# Python represents a byte of a name that is not UTF-8 by a lone surrogate. In any encoding of names, only bytes from
# 0x30 on can belong to a character of several bytes.
_CHARACTERS = re.compile("[^\x00-\x2f]+")
_BYTE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
TYPES = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def printable(text: object) -> str:
    """A name, or a text with names in it, in a form that can be shown and encoded.

    Bytes that are not UTF-8 are read as gb18030, the usual encoding of Chinese archives, and escaped if they are not
    that either; so are control characters.
    """
    shown = _CHARACTERS.sub(lambda found: _decoded(found[0]) if _BYTE.search(found[0]) else found[0], str(text))
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", shown)


def printable_path(path: object) -> str:
    """The path as `printable` shows it, unless another file has that name: then with escapes."""
    shown = printable(path)
    return shown if shown == str(path) or not os.path.lexists(shown) else printable(_escaped(str(path)))


def relative(path: Path) -> str:
    """The path relative to the working folder, if that is shorter."""
    return min(str(path), os.path.relpath(path), key=len)


def _decoded(name: str) -> str:
    try:
        return os.fsencode(name).decode("gb18030")
    except UnicodeError:
        return _escaped(name)


def _escaped(name: str) -> str:
    """The name with escapes for what cannot be shown: `\\xd6` for a byte."""
    shown = (f"\\x{ord(sign) & 0xFF:02x}" if "\udc80" <= sign <= "\udcff" else sign for sign in name)
    return "".join(shown).encode("utf-8", "backslashreplace").decode()


def user_path(text: str, option: str) -> Path:
    """The path in an option, where `~` is the user's home.

    Args:
        text: the option's value.
        option: the option, for messages.

    Raises:
        DataError: no file can have such a name, there is no such user, or the path may not be accessed.
    """
    shown = text if len(text) < 200 else f"{text[:80]}…"
    if "\0" in text:
        raise DataError(f"{option} {shown}: a path cannot hold a NUL character")
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        user = text.split("/")[0]
        if user == "~":
            raise DataError(f"{option} {shown}: this user has no home folder; set $HOME, or give a full path") from None
        raise DataError(f"{option} {shown}: there is no user {user[1:]}; a folder of that name is ./{user}") from None
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except UnicodeEncodeError:
        raise DataError(f"{option} {shown}: expected text, found half a character, which no path can hold") from None
    except OSError as error:
        raise DataError(f"{option} {shown}: {error.strerror}") from None
    return path


def found_instead(path: Path) -> str | None:
    """What is at the path instead of a file, in words; None if it is a file."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return "a link that leads nowhere" if path.is_symlink() else error.strerror
    return None if stat.S_ISREG(mode) else TYPES.get(stat.S_IFMT(mode), "something else")


def regular(path: Path) -> Path:
    """The path, if it is a regular file; opening a named pipe would wait for a writer for ever.

    Raises:
        DataError: it is something else, or does not exist.
    """
    found = found_instead(path)
    if found is not None:
        raise DataError(f"{path}: expected a file, found {found}")
    return path


def file_or_folder(path: Path, option: str) -> Path:
    """The path, if it is a file or a folder.

    Raises:
        DataError: it is neither.
    """
    if path.is_dir():
        return path
    found = found_instead(path)
    if found is not None:
        raise DataError(f"{option} {path}: expected a file or folder, found {found}")
    return path


def as_on_disk(folder: Path, name: str) -> Path:
    """The file that a name in a list refers to, which may be spelt differently on the disk.

    A system may have composed or decomposed its accents, kept it in gb18030, or separated folders by backslashes.
    """
    spellings = [name, name.replace("\\", "/")]
    spellings += [unicodedata.normalize(form, spelling) for form in ("NFC", "NFD") for spelling in spellings[:2]]
    for spelling in dict.fromkeys(spellings):
        if os.path.isfile(folder / spelling):
            return folder / spelling
    try:
        unconverted = folder / os.fsdecode(name.replace("\\", "/").encode("gb18030"))
    except UnicodeError:
        return folder / name
    return unconverted if os.path.isfile(unconverted) else folder / name
