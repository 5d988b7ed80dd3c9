"""Which file of a folder is which split."""

from collections.abc import Sequence
from pathlib import Path

from datamodules.errors import DataError

SPLIT_NAMES = {"train": ("train",), "val": ("val", "valid", "validation", "dev"), "test": ("test",)}
SPLIT_OF = {name: split for split, names in SPLIT_NAMES.items() for name in names}


def split_files(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """The files of a folder whose names begin with train, val (valid, validation, dev) and test.

    Raises:
        DataError: there is none for train, or two for one split.
    """
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        stem = file.name.split(".")[0].lower()
        for split, names in SPLIT_NAMES.items():
            if file.name.endswith(tuple(suffixes)) and any(part in names for part in stem.replace("-", "_").split("_")):
                if split in files:
                    raise DataError(f"{folder}: both {files[split].name} and {file.name} seem to be the {split} split")
                files[split] = file
    if "train" not in files:
        raise DataError(f"{folder}: expected train, val (or dev) and test files ({', '.join(suffixes)}) in it")
    return files
