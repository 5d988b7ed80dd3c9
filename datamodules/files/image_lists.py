"""Lists of images: a table with their paths or ids, labels, and perhaps splits."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from datamodules.errors import DataError
from datamodules.files.delimited import LABEL_COLUMNS, Row, read_table
from datamodules.files.image_places import Places
from datamodules.files.pixels import IMAGE_FILES
from datamodules.files.splits import USUAL, Note, listed, split_of

LABELS = (*LABEL_COLUMNS, "labels", "classes", "tags")
SPLITS = ("split", "set", "subset", "partition", "phase", "usage", "dataset", "data_set", "划分", "数据集")
HOT = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False, "-1": False, "-1.0": False}
PROBED = 50  # rows in which the column of the images is looked for
SEVERAL = "\n"  # between the labels of an image that has several columns of them
SEPARATORS = ("|", ";", ",", " ")  # between the labels in one cell, in this order


class ImageList:
    """A table that names images, opened, and its columns told apart by what is in them.

    Args:
        path: CSV, or text with tabs, blanks or other delimiters, or JSON lines; with or without a header.
        encoding: of the file.
        note: reports what is left out or guessed.
        image: the column of paths or ids; by default the one whose cells name files.

    Raises:
        DataError: no column names files that are there, or it is not clear which.
    """

    def __init__(self, path: Path, encoding: str, note: Note, image: str | int | None = None) -> None:
        self.path = path
        self.note = note
        self.places = Places(path, lambda text: None)  # while columns are probed, which may hold no names
        json = path.name.lower().removesuffix(".gz").endswith((".jsonl", ".json"))
        self.table = read_table(path, encoding, header=json, large=True)
        self.cells = self._splitter([row for _, row in self.table.rows])
        self.sample = [self.cells(row) for _, row in self.table.rows]
        self.skipped = 0 if json else int(self._has_header())
        width = len(self.sample[0])
        self.names = [name.strip() for name in self.sample.pop(0)] if self.skipped else list(map(str, range(width)))
        if json:
            self.names = self.table.names
        self.image = self.position(image, "--data.image") if image is not None else self._image_column()
        self.places = Places(path, note)

    def position(self, column: str | int, option: str) -> int:
        """The position of a column that is given by its name or position.

        Raises:
            DataError: there is no such column.
        """
        if str(column) in self.names:
            return self.names.index(str(column))
        if str(column).isdecimal() and int(column) < len(self.names):
            return int(column)
        raise DataError(f"{option} {column}: {self.path} has no such column; it has {', '.join(self.names)}")

    def rows(self) -> Iterator[Row]:
        """The line and the cells of each row."""
        for line, row in islice(self.table, self.skipped, None):
            cells = [cell.strip() for cell in self.cells(row)]
            if len(cells) != len(self.names):
                raise DataError(f"{self.path}:{line}: expected {len(self.names)} fields, found {len(cells)}")
            yield line, cells

    def images(self) -> Iterator[tuple[str, Path]]:
        """The name and the file of each row's image."""
        return ((cells[self.image], self.file(line, cells)) for line, cells in self.rows())

    def file(self, line: int, cells: Sequence[str]) -> Path:
        """The image of a row.

        Raises:
            DataError: there is none.
        """
        file = self.places.find(cells[self.image])
        if file is None:
            raise DataError(f"{self.path}:{line}: there is no file {self.path.parent / cells[self.image]}")
        return file

    def labelled(self, target: str | int | None, multilabel: bool) -> Iterator[tuple[Path, str, str]]:
        """(file, label, split) of each row.

        Args:
            target: the column of labels; inferred by default.
            multilabel: whether an image has several: in several columns they are joined by SEVERAL.

        Raises:
            DataError: it is not clear which column has the labels, or a row is not what its columns say.
        """
        split, labels = self._label_columns(target, multilabel)
        hot = len(labels) > 1
        counts = {"several": 0, "no": 0}
        for line, cells in self.rows():
            ones = [self.names[each] for each in labels if self._is_hot(line, cells[each])] if hot else []
            if hot and len(ones) != 1:
                counts["several" if ones else "no"] += 1
            stated = "" if split is None else cells[split]
            if stated and not split_of(stated):
                raise DataError(f"{self.path}:{line}: the split is {stated}, expected {USUAL}")
            yield self.file(line, cells), SEVERAL.join(ones) if hot else cells[labels[0]], split_of(stated)
        names = listed([self.names[each] for each in labels])
        if hot and not multilabel and any(counts.values()):
            found = " and ".join(f"{count} rows with {kind} 1" for kind, count in counts.items() if count)
            raise DataError(
                f"{self.path}: columns {names} have {found}; --data.multilabel true trains on several labels an image, "
                f"--data.target names one column of labels"
            )
        if hot:
            self.note(
                f"{self.path}: columns {names} are read as {'labels' if multilabel else 'classes'}, where 1 stands"
            )

    def _is_hot(self, line: int, cell: str) -> bool:
        if cell.lower() not in HOT:
            raise DataError(
                f"{self.path}:{line}: found {cell or 'an empty cell'} in a column of labels, expected 0 or 1"
            )
        return HOT[cell.lower()]

    def _splitter(self, rows: list[list[str]]) -> Callable[[list[str]], list[str]]:
        """What makes the cells of a row, where another delimiter than the file's ending says is in them."""
        if len(rows[0]) > 1 or self.places.find(rows[-1][0].strip()):
            return lambda row: row
        for delimiter in ("\t", ";", "|", ","):
            if all(delimiter in row[0] for row in rows):
                return lambda row: row[0].split(delimiter)
        if all(" " in row[0].strip() for row in rows):  # a path may have blanks, a class beside it none
            return lambda row: row[0].strip().rsplit(maxsplit=1)
        return lambda row: row

    def _has_header(self) -> bool:
        """Whether the first row names no image, and nothing in it occurs again."""
        first, *rest = ([cell.strip() for cell in row] for row in self.sample)
        if not rest or any(cell.lower().endswith(IMAGE_FILES) or self._exists(cell) for cell in first):
            return False
        columns = zip(first, *rest, strict=False)
        return all(cell.lower() in LABELS or cell not in below for cell, *below in columns)

    def _exists(self, cell: str) -> bool:
        return self.places.find(cell) is not None

    def _image_column(self) -> int:
        """The position of the column whose cells name files; of several, the one whose cells differ most."""
        rows = [[cell.strip() for cell in row] for row in self.sample[:PROBED]]
        scores = []
        for column in range(len(self.names)):
            cells = [row[column] for row in rows if column < len(row)]
            found = sum(self._exists(cell) for cell in cells)
            scores.append((found, sum(cell.lower().endswith(IMAGE_FILES) for cell in cells), len(set(cells))))
        best = max(scores)
        if best[0] == 0 and best[1] == 0:
            shown = f"{self.names[0]} has {rows[0][0]}" if rows else "it has no rows"
            raise DataError(
                f"{self.path}: expected a column with paths or ids of images, relative to the list's folder or one in "
                f"it; found columns {listed(self.names, 10)}: {shown}; --data.image names the column"
            )
        if scores.count(best) > 1 and best[0]:
            columns = [column for column, score in enumerate(scores) if score == best]
            if len({self.places.find(rows[0][column]) for column in columns}) > 1:
                names = " and ".join(self.names[column] for column in columns)
                raise DataError(f"{self.path}: columns {names} both name images; --data.image says which to read")
        return scores.index(best)

    def _label_columns(self, target: str | int | None, multilabel: bool) -> tuple[int | None, list[int]]:
        """The positions of the split, if any, and of the labels; what is neither is told."""
        rest = [column for column in range(len(self.names)) if column != self.image]
        index = next((column for column in rest if self._is_index(column, len(rest))), None)
        given = None if target is None else self.position(target, "--data.target")
        candidates = [column for column in rest if column not in (index, given)]
        split = self._split_column(candidates, len(candidates) > (given is None))
        candidates = [column for column in candidates if column != split]
        labels = [given] if given is not None else self._labels(candidates, multilabel)
        if left := [self.names[column] or "(no name)" for column in rest if column not in (split, *labels)]:
            self.note(f"{self.path}: left out the columns {listed(left, 10)}")
        return split, labels

    def _labels(self, candidates: list[int], multilabel: bool) -> list[int]:
        usual = [column for column in candidates if self.names[column].lower() in LABELS]
        hot = [column for column in candidates if all(cell.lower() in HOT for cell in self._column(column))]
        if len(candidates) == 1 or len(usual) == 1:
            return candidates if len(candidates) == 1 else usual
        if len(hot) > 1 and (len(hot) == len(candidates) or multilabel):
            return hot
        if not candidates:
            raise DataError(f"{self.path}: expected a column of labels beside {self.names[self.image]}, found none")
        names = listed([self.names[column] for column in candidates], 10)
        raise DataError(f"{self.path}: which column has the labels? Give --data.target; there are {names}")

    def _split_column(self, candidates: list[int], by_content: bool) -> int | None:
        named = [column for column in candidates if self.names[column].lower() in SPLITS]
        told = [column for column in candidates if by_content and self._states_splits(column)]
        if len(candidates) > 1 or not by_content:
            named = [column for column in named if column in told or self.names[column].lower() == "split"]
        return next(iter([*(column for column in named if by_content), *told]), None)

    def _states_splits(self, column: int) -> bool:
        cells = {cell for cell in self._column(column) if cell}
        return bool(cells) and all(map(split_of, cells))

    def _is_index(self, column: int, num_others: int) -> bool:
        """Whether a column counts the rows, as pandas writes it: the first one, and one without a name."""
        name = self.names[column].lower()
        unnamed = not self.skipped or name in ("", "index") or re.fullmatch(r"unnamed: \d+", name)
        if column != 0 or not unnamed or num_others < 2:
            return False
        cells = self._column(column)
        return cells[0] in ("0", "1") and cells == [str(int(cells[0]) + row) for row in range(len(cells))]

    def _column(self, column: int) -> list[str]:
        return [row[column].strip() for row in self.sample if column < len(row)]


def several_codes(
    cells: Sequence[str], known: Sequence[str] | None, where: str, note: Note
) -> tuple[list[str], Tensor]:
    """The class names, and which of them each image has.

    Args:
        cells: the labels of each image, separated.
        known: the class names of an earlier run, which are kept.
        where: the source of the labels, for messages.
        note: reports what separates the labels.

    Returns:
        The names, and (N, C), 0 or 1.

    Raises:
        DataError: a label is none of the known class names, or there is only one.
    """
    distinct = set(cells)
    separator = next((each for each in (SEVERAL, *SEPARATORS) if any(each in cell for cell in distinct)), SEVERAL)
    labels = {cell: dict.fromkeys(_parts(cell.strip("[]"), separator)) for cell in distinct}
    names = list(known) if known is not None else sorted({label for each in labels.values() for label in each})
    if unknown := {label for each in labels.values() for label in each} - {*names}:
        found = listed(sorted(unknown))
        raise DataError(f"{where}: has the labels {found}, which the model does not know; it knows {listed(names, 20)}")
    if len(names) < 2:
        raise DataError(f"{where}: expected at least two labels, found {listed(names) or 'none'}")
    if separator != SEVERAL:
        shown = {" ": "blanks"}.get(separator, separator)
        note(f"{where}: labels are separated by {shown}: {len(names)} labels, {listed(names)}")
    code = {name: index for index, name in enumerate(names)}
    present = torch.zeros(len(cells), len(names))
    for row, cell in enumerate(cells):
        present[row, [code[label] for label in labels[cell]]] = 1
    return names, present


def _parts(cell: str, separator: str) -> list[str]:
    return [part for each in cell.split(separator) if (part := each.strip().strip("'\""))]


def several_labels(cells: set[str]) -> str | None:
    """A cell that seems to hold several labels, which stand alone in other cells and are fewer; None without such."""
    for separator in SEPARATORS[:-1]:
        joined = {cell: _parts(cell, separator) for cell in cells if len(_parts(cell, separator)) > 1}
        parts = {part for each in joined.values() for part in each}
        if joined and parts & cells and len(parts | (cells - joined.keys())) < len(cells):
            return min(joined)
    return None
