"""Which split a name belongs to: that of a folder, of a file, or in a column of a list."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from datamodules.errors import DataError

SPLIT_WORDS = {  # as a part of a name: `seg_train`, `cnews.val.txt`, `adult-test.csv`, `ValidationSet`, `训练集`
    "train": "train|training|trn",
    "val": "val|valid|validation|dev|devel|development|eval|evaluation|testa",
    "test": "test|testing|tst|testb",
}
IN_CHINESE = {"训练": "train", "验证": "val", "开发集": "val", "测试": "test"}
SPLITS = tuple(SPLIT_WORDS)
USUAL = "train, val (or valid, validation, dev, eval) and test"
UNLABELLED = (".data", ".dat")  # endings of UCI's training files, beside a `.test`

_SPLIT_OF = {word: split for split, words in SPLIT_WORDS.items() for word in words.split("|")}
_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_ABOUT = re.compile(r"readme|licen[cs]e|\.(md|pdf|html|zip|gz)$", re.IGNORECASE)
_AFFIX = re.compile(r"(?<=.)(set|data|split)$")

Note = Callable[[str], None]


def split_of(name: str) -> str:
    """The split that a name states as one of its parts; empty where it states none, or several."""
    parts = (_AFFIX.sub("", part.lower()) for part in _PARTS.findall(name))
    found = {_SPLIT_OF[part] for part in parts if part in _SPLIT_OF}
    found |= {split for word, split in IN_CHINESE.items() if word in name}
    return found.pop() if len(found) == 1 else ""


def is_hidden(path: Path | os.DirEntry[str]) -> bool:
    """Whether a system or a program keeps the file or folder for itself: `.DS_Store`, `__MACOSX`, `Thumbs.db`."""
    return path.name.startswith((".", "__MACOSX", "~$")) or path.name.lower() in ("thumbs.db", "desktop.ini")


def split_files(folder: Path, suffixes: Sequence[str], note: Note) -> dict[str, Path]:
    """The file of each split in a folder; its only file under an empty name, where that states no split.

    Args:
        folder: the folder.
        suffixes: of the files that are read; a split may also be a suffix: `eng.testa`.
        note: reports which files are ignored.

    Raises:
        DataError: there is none for train, or it is not clear which.
    """
    files = sorted(file for file in folder.iterdir() if not is_hidden(file) and file.is_file())
    read = [file for file in files if file.name.lower().endswith(tuple(suffixes)) or _is_split_suffix(file)]
    found: dict[str, Path] = {}
    for split in SPLITS:
        candidates = [file for file in read if split_of(_stem(file)) == split]
        exact = [file for file in candidates if file.name.split(".")[0].lower() in _SPLIT_OF] or candidates
        if len(exact) > 1:
            names = " and ".join(file.name for file in exact[:2])
            raise DataError(f"{folder}: both {names} seem to be the {split} split; remove one, or name one file alone")
        found.update({split: exact[0]} if exact else {})
    others = [file for file in read if file not in found.values()]
    if "train" not in found and (rest := _remaining(found, others, folder, note)):
        found["" if not found else "train"] = rest
    if not found.keys() & {"", "train"}:
        names = ", ".join(file.name for file in files[:10]) or "nothing"
        raise DataError(f"{folder}: expected {USUAL} files ({', '.join(suffixes)}) in it, found {names}")
    if ignored := [file.name for file in files if file not in found.values()]:
        note(f"{folder}: read {', '.join(file.name for file in found.values())}; ignored {listed(ignored)}")
    return dict(sorted(found.items(), key=lambda item: SPLITS.index(item[0]) if item[0] else 0))


def _stem(file: Path) -> str:
    """The name without what says how the file is to be read."""
    return file.name if _is_split_suffix(file) else file.name.removesuffix(".gz").rpartition(".")[0]


def _is_split_suffix(file: Path) -> bool:
    suffix = file.suffix.lower()
    return bool(split_of(suffix[1:])) or suffix in UNLABELLED


def _remaining(found: dict[str, Path], others: list[Path], folder: Path, note: Note) -> Path | None:
    """The file that can only be the training split: the only one, or the only one named like that of another split."""
    named = [file for file in others if any(_base(file) == _base(other) for other in found.values())] or others
    if len(named) != 1:
        return None
    if found:
        note(f"{folder}: {named[0].name} is the training split, beside {', '.join(f.name for f in found.values())}")
    return named[0]


def _base(file: Path) -> str:
    """The name without its split and suffixes."""
    parts = _PARTS.findall(file.name.split(".")[0].lower())
    return " ".join(part for part in parts if part not in _SPLIT_OF)


def listed(names: Sequence[str], limit: int = 5) -> str:
    """The first names of a list, and how many more there are."""
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def class_files(folder: Path, note: Note) -> dict[str, Path]:
    """The file of each class in a folder where no name states a split, by what is different in their names.

    `rt-polarity.pos` and `rt-polarity.neg` are of the classes pos and neg. Empty where the folder has other files.
    """
    files = sorted(file for file in folder.iterdir() if file.is_file() and not is_hidden(file))
    about = [file for file in files if _ABOUT.search(file.name)]
    files = [file for file in files if file not in about]
    parts = [re.split(r"[._-]", file.name) for file in files]
    if len(files) < 2 or any(map(split_of, (file.name for file in files))) or len(set(map(len, parts))) > 1:
        return {}
    places = [place for place, values in enumerate(zip(*parts, strict=True)) if len(set(values)) > 1]
    if len(places) != 1:
        return {}
    found = {part[places[0]]: file for part, file in zip(parts, files, strict=True)}
    ignored = f"; ignored {listed([file.name for file in about])}" if about else ""
    note(f"{folder}: each file has the texts of a class, a line each: {listed(list(found))}{ignored}")
    return found
