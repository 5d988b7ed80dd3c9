"""Folders of images or documents: a folder for each class, and perhaps one around them for each split."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from datamodules.errors import DataError
from datamodules.files.file_list import files_in
from datamodules.files.paths import printable
from datamodules.files.pixels import HEIF_FILES, IMAGE_FILES
from datamodules.files.splits import USUAL, Note, is_hidden, listed, split_of

LISTS = (".csv", ".tsv", ".txt", ".xlsx", ".jsonl")
UNLABELLED = re.compile(r"unsup(ervised)?|un-?_?labell?ed|no_?label|无标签|未标注", re.IGNORECASE)  # of no class


class ClassFolders:
    """Finds the files of a kind in folders.

    Args:
        kind: what they are called in messages.
        suffixes: of the files, in small letters.
        note: reports what is left out.
    """

    def __init__(self, kind: str, suffixes: tuple[str, ...], note: Note) -> None:
        self.kind = kind
        self.suffixes = suffixes
        self.note = note

    def found_in(self, folder: Path) -> Iterator[tuple[Path, str, str]]:
        """(file, label, split) for each file in class folders, or in those of a folder for each split.

        Args:
            folder: the folder, or one in which it is the only one.

        Raises:
            DataError: some folders with files have names of splits, and some have not.
        """
        outer, folder = folder, self._unwrapped(folder)
        if folder != outer:
            self.note(f"{outer}: read from the only folder in it, {folder.relative_to(outer)}")
        others: Counter[str] = Counter()
        children = folders_in(folder)
        splits = {child: split_of(child.name) for child in children}
        if "train" not in splits.values():
            if len(children) > 1 and all(splits.values()) and not any(self.directly_in(child) for child in children):
                names = " and ".join(child.name for child in children)
                raise DataError(f"{folder}: {names} are named like splits ({USUAL}), but there is none for train")
            self._tell_loose(folder)
            yield from ((file, label, "") for file, label in self._of_classes(children, folder, others))
        else:
            unknown = [child for child, split in splits.items() if not split and next(self.files_in(child), None)]
            if unknown:
                raise DataError(
                    f"{folder}: {' and '.join(child.name for child in splits if splits[child])} are named like splits "
                    f"({USUAL}), but {' and '.join(child.name for child in unknown)} are not; move these out of the "
                    f"folder, or list the {self.kind} in a CSV file"
                )
            for child, classes in self._labelled({child: split for child, split in splits.items() if split}).items():
                found = self._of_classes(classes, child, others)
                yield from ((file, label, splits[child]) for file, label in found)
        if others:
            kinds = ", ".join(f"{count} {suffix or 'without an ending'}" for suffix, count in others.most_common(5))
            heif = 'pip install -e ".[heif]" reads HEIF' if others.keys() & {*HEIF_FILES} else ""
            more = f" and {len(others) - 5} other kinds" if len(others) > 5 else ""
            known = f"{others.total()} files that are no known {self.kind}"
            self.note(f"{folder}: left out {known}: {kinds}{more}{heif and '; ' + heif}")

    def without_classes(self, folder: Path) -> str:
        """What is in a folder that has no class folders, for an error's message."""
        places = [folder, *folders_in(folder)]
        loose = [
            f"{count} {self.kind} directly in {place.name}" for place in places if (count := self.directly_in(place))
        ]
        lists = [file.name for file in sorted(folder.iterdir()) if file.name.lower().endswith(LISTS) and file.is_file()]
        hint = f"; if {listed(lists)} says the classes, give --data {folder / lists[0]}" if lists else ""
        return f"found {' and '.join(loose[:3]) or 'none'}{hint}"

    def files_in(self, folder: Path, others: Counter[str] | None = None) -> Iterator[Path]:
        """The files of a folder and of those in it; others are counted by their endings."""
        return files_in(folder, self.suffixes, others)

    def directly_in(self, folder: Path) -> int:
        """The number of files in a folder, but for those in folders in it."""
        return sum(1 for file in folder.iterdir() if self._reads(file))

    def _reads(self, file: Path) -> bool:
        """Whether it is a file of this kind; of those without an ending some may be folders."""
        return file.suffix.lower() in self.suffixes and not is_hidden(file) and (bool(file.suffix) or file.is_file())

    def _labelled(self, splits: dict[Path, str]) -> dict[Path, list[Path]]:
        """The class folders of each split's folder; a test split without classes is told, and left out."""
        classes = {child: folders_in(child) for child in splits}
        several = {part.name for parts in classes.values() if len(parts) > 1 for part in parts}
        for child, parts in classes.items():
            if len(parts) == 1 and parts[0].name not in several:
                classes[child] = folders_in(self._unwrapped(child))
        known = {part.name for child, parts in classes.items() if splits[child] == "train" for part in parts}
        for child, parts in [*classes.items()]:
            unlabelled = not parts or (splits[child] == "test" and len(parts) == 1 and parts[0].name not in known)
            if not unlabelled:
                self._tell_loose(child)
            elif splits[child] == "train" and (count := self.directly_in(child)):
                kind = f"{count} {self.kind} directly in it"
                raise DataError(f"{child}: {kind}; expected a folder for each class, or a CSV file")
            elif count := sum(1 for _ in self.files_in(child)):
                kind = f"{count} {self.kind} without a class"
                self.note(f"{child}: {kind} are left out; scripts/predict.py --input {child} reads them")
                del classes[child]
        return classes

    def _of_classes(self, folders: Iterable[Path], parent: Path, others: Counter[str]) -> Iterator[tuple[Path, str]]:
        """(file, label) for each file of class folders; other files are counted by their endings."""
        of_class: dict[str, Path] = {}
        empty = []
        for folder in folders:
            label = printable(folder.name)
            if UNLABELLED.fullmatch(label) and (count := sum(1 for _ in self.files_in(folder))):
                self.note(f"{parent}: left out {count} {self.kind} in {label}, which by its name is no class")
                continue
            if of_class.setdefault(label, folder) != folder:  # one of them is not UTF-8
                raise DataError(f"{parent}: two folders in it are called {label}; rename one, or put both into one")
            file = None
            for file in self.files_in(folder, others):
                yield file, label
            if file is None:
                empty.append(label)
        if empty and len(empty) < len(of_class):
            self.note(f"{parent}: left out {len(empty)} folders without {self.kind}: {listed(empty)}")

    def _unwrapped(self, folder: Path) -> Path:
        """The folder, or the one that is all it contains, as archives leave them: `photos/photos/<class>`."""
        children = folders_in(folder)
        if len(children) != 1 or self.directly_in(folder) or (split_of(children[0].name) and not split_of(folder.name)):
            return folder
        inner = children[0]
        return folder if self.directly_in(inner) or not folders_in(inner) else self._unwrapped(inner)

    def _tell_loose(self, folder: Path) -> None:
        if loose := self.directly_in(folder):
            self.note(f"{folder}: left out {loose} {self.kind} beside the class folders")


def folders_in(folder: Path) -> list[Path]:
    """The folders directly in a folder, but for hidden ones."""
    return [child for child in sorted(folder.iterdir()) if child.is_dir() and not is_hidden(child)]


def image_folders(note: Note) -> ClassFolders:
    """Finds images."""
    return ClassFolders("images", IMAGE_FILES, note)
