"""Where the images of a list are: it may name them by ids, with backslashes, or from another folder."""

from os.path import isfile
from pathlib import Path

from datamodules.errors import DataError
from datamodules.files.paths import as_on_disk
from datamodules.files.pixels import IMAGE_FILES
from datamodules.files.splits import Note, is_hidden, split_of

MAX_FOLDERS = 1000  # that are searched


class Places:
    """Finds the images that a list names; how the last one was found is tried first.

    Args:
        path: of the list; its own folder, and then those in it to a depth of two, are searched.
        note: reports, once, how a name is read that is no path.
    """

    def __init__(self, path: Path, note: Note) -> None:
        self.path = path
        self.note = note
        self.split = split_of(path.stem) or "train"  # whose folder is meant where several have the name
        self.how: tuple[Path, int, str] | None = None  # folder, number of leading parts dropped, and ending
        self.folders: list[Path] | None = None
        self.told = False

    def find(self, name: str) -> Path | None:
        """The file of a name; None where there is none.

        Raises:
            DataError: several folders have it, none of which is that of the list's split.
        """
        if not name:
            return None
        if self.how and not self.how[1] and isfile(file := f"{self.how[0]}/{name}{self.how[2]}"):
            return Path(file)
        direct = as_on_disk(self.path.parent, name)
        if isfile(direct):
            self.how = self.how or (self.path.parent, 0, "")
            return direct
        parts = name.replace("\\", "/").split("/")
        endings = [""] if name.lower().endswith(IMAGE_FILES) else [*IMAGE_FILES, *map(str.upper, IMAGE_FILES)]
        # All are dropped from alike: what is missing in one class's folder is not that of its name in another's.
        for dropped in range(len(parts)) if self.how is None else [self.how[1]]:
            tail = "/".join(parts[dropped:])
            for ending in sorted(endings, key=lambda each: self.how is None or each != self.how[2]):
                if found := self._among(name, tail + ending, dropped, ending):
                    return found
        return None

    def _among(self, name: str, tail: str, dropped: int, ending: str) -> Path | None:
        """The file of that path in one of the folders."""
        if self.folders is None:
            self.folders = _below(self.path.parent)
        found = [folder for folder in self.folders if isfile(as_on_disk(folder, tail))]
        if not found:
            return None
        if len(found) > 1 and found[0] != self.path.parent:
            named = [folder for folder in found if split_of(folder.name) == self.split]
            if len(named) != 1:
                both = " and ".join(str(folder.relative_to(self.path.parent)) for folder in found[:2])
                raise DataError(f"{self.path}: {name} is in {both}; expected paths with the folder in them")
            found = named
        self.how = found[0], dropped, ending
        file = as_on_disk(found[0], tail)
        if not self.told:
            self.told = True
            self.note(f"{self.path}: {name} is read as {file.relative_to(self.path.parent)}, and so are the others")
        return file


def _below(folder: Path) -> list[Path]:
    """The folder, those in it, and those in these."""
    found = [folder]
    for depth in range(2):
        for parent in [each for each in found if len(each.relative_to(folder).parts) == depth]:
            children = (child for child in sorted(parent.iterdir()) if child.is_dir() and not is_hidden(child))
            found += list(children)[: MAX_FOLDERS - len(found)]
    return found
