"""The files of a corpus: which of a folder's are read, and of which split each is."""

import re
from collections import Counter
from pathlib import Path

from datamodules.errors import DataError
from datamodules.files.file_list import FileList, files_in
from datamodules.files.splits import SPLITS, Note, listed, split_of

TEXTS, ROWS = (".txt", ".md"), (".jsonl", ".ndjson", ".json", ".parquet", ".pq")
PACKED = (".gz", ".zst")
USUAL = ".txt, .md, .jsonl, .json or .parquet, each also .gz or .zst"
_ABOUT = re.compile(r"readme|licen[cs]e", re.IGNORECASE)


def unpacked_name(path: Path) -> Path:
    """A file's name, in small letters, without the ending of how it is packed."""
    name = path.name.lower()
    return Path(next((name.removesuffix(packed) for packed in PACKED if name.endswith(packed)), name))


def corpus_files(path: Path, note: Note) -> dict[str, FileList]:
    """The files of each split of a corpus, in the order of their paths; of all under an empty name without splits.

    A file is of the split that the uppermost folder states, or else its name.

    Args:
        path: a file, or a folder of files and folders.
        note: reports which files are left out, and which names are not taken for those of splits.

    Raises:
        DataError: there is no such file.
    """
    if path.is_file():
        single = FileList()
        single.append(path)
        return {"": single}
    others: Counter[str] = Counter()
    found: dict[str, FileList] = {}
    about: list[Path] = []
    for file in files_in(path, TEXTS + ROWS + PACKED, others):
        if unpacked_name(file).suffix not in TEXTS + ROWS:
            others["".join(file.suffixes[-2:])] += 1
        elif _ABOUT.match(file.name):
            about.append(file)
        else:
            found.setdefault(_split(file, path), FileList()).append(file)
    if not found and about:
        found[""] = FileList()
        while about:
            found[""].append(about.pop(0))
    if not found:
        there = listed([f"{count} {suffix or 'without an ending'}" for suffix, count in others.items()]) or "nothing"
        raise DataError(f"{path}: expected files ({USUAL}) in it, found {there}")
    kept = _official(found, path, note)
    ignored = [file.name for file in about] + [f"{count} {suffix or 'without'}" for suffix, count in others.items()]
    if ignored:
        note(f"{path}: ignored {listed(ignored)}")
    return kept


def _split(file: Path, root: Path) -> str:
    stem = file.name[: len(unpacked_name(file).stem)]  # in its own letters, by which its parts are told apart
    parts = *file.relative_to(root).parts[:-1], stem
    return next((split for part in parts if (split := split_of(part))), "")


def _official(found: dict[str, FileList], root: Path, note: Note) -> dict[str, FileList]:
    """The files of the splits that names state, if these are not names of documents that happen to state one."""
    unnamed = found.pop("", FileList())
    named = sum(map(len, found.values()))
    if not found:
        return {"": unnamed}
    if "train" not in found and len(unnamed):
        if len(unnamed) == 1:
            note(f"{root}: {unnamed[0].name} is the training split, beside that for {' and '.join(sorted(found))}")
            return _ordered(found | {"train": unnamed})
    elif len(unnamed) <= named:
        if len(unnamed):
            note(f"{root}: ignored {listed([file.name for file in unnamed])}: of no split, beside {_names(found)}")
        return _ordered(found)
    note(f"{root}: {_names(found)}: taken for documents like the others, since most names state no split")
    everything = FileList()
    for file in sorted(file for files in (unnamed, *found.values()) for file in files):
        everything.append(file)
    return {"": everything}


def _names(found: dict[str, FileList]) -> str:
    return listed([file.name for files in found.values() for file in files])


def _ordered(found: dict[str, FileList]) -> dict[str, FileList]:
    return {split: found[split] for split in SPLITS if split in found}
