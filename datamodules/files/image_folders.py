"""Folders of images: a folder for each class, and perhaps one around them for each split."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from datamodules.errors import DataError
from datamodules.files.file_list import files_in
from datamodules.files.paths import printable
from datamodules.files.pixels import HEIF_FILES, IMAGE_FILES
from datamodules.files.splits import USUAL, Note, is_hidden, listed, split_of

LISTS = (".csv", ".tsv", ".txt", ".xlsx", ".jsonl")


def found_in(folder: Path, note: Note) -> Iterator[tuple[Path, str, str]]:
    """(file, label, split) for each image of a folder of class folders, or of one such folder for each split.

    Args:
        folder: the folder, or one in which it is the only one.
        note: reports what is left out, at the end.

    Raises:
        DataError: some folders with images have names of splits, and some have not.
    """
    outer, folder = folder, _unwrapped(folder)
    if folder != outer:
        note(f"{outer}: read from the only folder in it, {folder.relative_to(outer)}")
    others: Counter[str] = Counter()
    children = _folders(folder)
    splits = {child: split_of(child.name) for child in children}
    if "train" not in splits.values():
        if len(children) > 1 and all(splits.values()) and not any(_images(child) for child in children):
            names = " and ".join(child.name for child in children)
            raise DataError(f"{folder}: {names} are named like splits ({USUAL}), but there is none for train")
        _tell_loose(folder, note)
        yield from ((file, label, "") for file, label in _of_classes(children, folder, others, note))
    else:
        unknown = [child for child, split in splits.items() if not split and next(files_in(child, IMAGE_FILES), None)]
        if unknown:
            raise DataError(
                f"{folder}: {' and '.join(child.name for child in splits if splits[child])} are named like splits "
                f"({USUAL}), but {' and '.join(child.name for child in unknown)} are not; move these out of the "
                f"folder, or list the images in a CSV file"
            )
        for child, classes in _labelled({child: split for child, split in splits.items() if split}, note).items():
            found = _of_classes(classes, child, others, note)
            yield from ((file, label, splits[child]) for file, label in found)
    if others:
        kinds = ", ".join(f"{count} {suffix or 'without an ending'}" for suffix, count in others.most_common(5))
        heif = 'pip install -e ".[heif]" reads HEIF' if others.keys() & {*HEIF_FILES} else ""
        more = f" and {len(others) - 5} other kinds" if len(others) > 5 else ""
        note(f"{folder}: left out {others.total()} files that are no known images: {kinds}{more}{heif and '; ' + heif}")


def without_classes(folder: Path) -> str:
    """What is in a folder that has no class folders, for an error's message."""
    places = [folder, *_folders(folder)]
    loose = [f"{count} images directly in {place.name}" for place in places if (count := len(_images(place)))]
    lists = [file.name for file in sorted(folder.iterdir()) if file.name.lower().endswith(LISTS) and file.is_file()]
    hint = f"; if {listed(lists)} says the classes, give --data {folder / lists[0]}" if lists else ""
    return f"found {' and '.join(loose[:3]) or 'none'}{hint}"


def _labelled(splits: dict[Path, str], note: Note) -> dict[Path, list[Path]]:
    """The class folders of each split's folder; a test split without classes is told, and left out."""
    classes = {child: _folders(child) for child in splits}
    several = {part.name for parts in classes.values() if len(parts) > 1 for part in parts}
    for child, parts in classes.items():
        if len(parts) == 1 and parts[0].name not in several:
            classes[child] = _folders(_unwrapped(child))
    known = {part.name for child, parts in classes.items() if splits[child] == "train" for part in parts}
    for child, parts in [*classes.items()]:
        unlabelled = not parts or (splits[child] == "test" and len(parts) == 1 and parts[0].name not in known)
        if not unlabelled:
            _tell_loose(child, note)
        elif splits[child] == "train" and (count := len(_images(child))):
            raise DataError(f"{child}: {count} images directly in it; expected a folder for each class, or a CSV file")
        elif count := sum(1 for _ in files_in(child, IMAGE_FILES)):
            note(f"{child}: {count} images without a class are left out; scripts/predict.py --input {child} reads them")
            del classes[child]
    return classes


def _of_classes(folders: Iterable[Path], parent: Path, others: Counter[str], note: Note) -> Iterator[tuple[Path, str]]:
    """(file, label) for each image of class folders; other files are counted by their endings."""
    of_class: dict[str, Path] = {}
    empty = []
    for folder in folders:
        label = printable(folder.name)
        if of_class.setdefault(label, folder) != folder:  # one of them is not UTF-8
            raise DataError(f"{parent}: two folders in it are called {label}; rename one, or put both into one")
        file = None
        for file in files_in(folder, IMAGE_FILES, others):
            yield file, label
        if file is None:
            empty.append(label)
    if empty and len(empty) < len(of_class):
        note(f"{parent}: left out {len(empty)} folders without images: {listed(empty)}")


def _unwrapped(folder: Path) -> Path:
    """The folder, or the one that is all it contains, as archives leave them: `photos/photos/<class>`."""
    children = _folders(folder)
    if len(children) != 1 or _images(folder) or (split_of(children[0].name) and not split_of(folder.name)):
        return folder
    inner = children[0]
    return folder if _images(inner) or not _folders(inner) else _unwrapped(inner)


def _folders(folder: Path) -> list[Path]:
    return [child for child in sorted(folder.iterdir()) if child.is_dir() and not is_hidden(child)]


def _images(folder: Path) -> list[Path]:
    """The images directly in a folder."""
    return [file for file in folder.iterdir() if file.suffix.lower() in IMAGE_FILES and not is_hidden(file)]


def _tell_loose(folder: Path, note: Note) -> None:
    if loose := len(_images(folder)):
        note(f"{folder}: left out {loose} images beside the class folders")
