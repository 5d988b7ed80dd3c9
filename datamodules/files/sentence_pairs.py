"""Sentences and their translations, from a table or from two parallel files."""

import csv
from collections.abc import Iterator
from itertools import chain, zip_longest
from pathlib import Path

from datamodules.errors import DataError
from datamodules.files.delimited import Row
from datamodules.files.layout import MAX_FIELD_SIZE
from datamodules.files.splits import Note, split_files, split_of
from datamodules.files.text_files import lines_of

SentencePair = tuple[str, str]  # in both languages

TABLE_FILES = (".tsv", ".csv", ".txt", ".tsv.gz", ".csv.gz", ".txt.gz")
TABLE_SUFFIXES = {"tsv", "csv", "txt"}


def lines_without_end(path: Path, encoding: str) -> Iterator[str]:
    """The lines of a text file without their line ends, and without the blank lines at the end.

    Raises:
        DataError: the file is empty, damaged, or not text in that encoding.
    """
    blank = 0
    for line in lines_of(path, encoding):
        line = line.rstrip("\r\n")
        if line:
            yield from [""] * blank
            yield line
        blank = 0 if line else blank + 1


def read_parallel(source: Path, target: Path, encoding: str) -> Iterator[SentencePair]:
    """Pairs of two files that have a sentence on each line.

    Raises:
        DataError: a file is empty, they differ in length, or a sentence has no counterpart.
    """
    sides = zip_longest(lines_without_end(source, encoding), lines_without_end(target, encoding))
    for line_number, (one, other) in enumerate(sides, 1):
        if one is None or other is None:
            sizes = [sum(1 for _ in lines_without_end(path, encoding)) for path in (source, target)]
            raise DataError(f"{target}: expected {sizes[0]} lines as in {source.name}, found {sizes[1]}")
        yield from _pair(one.strip(), other.strip(), target, line_number)


def read_pairs(path: Path, encoding: str, source: str | None, target: str | None) -> Iterator[SentencePair]:
    """Pairs of two columns of a table: tab-separated and never quoted, or, in a `.csv`, comma-separated and quoted.

    Args:
        path: the file.
        encoding: encoding of the file.
        source: name, if the first line has names, or index of the source's column; the first by default.
        target: the same of the translation's column; the second by default.

    Raises:
        DataError: the file is empty or ragged (with the line), or has no such column.
    """
    lines = lines_without_end(path, encoding)
    if path.name.endswith((".csv", ".csv.gz")):
        csv.field_size_limit(MAX_FIELD_SIZE)
        reader = csv.reader(f"{line}\n" for line in lines)
        rows: Iterator[Row] = ((reader.line_num, row) for row in reader if row)
    else:
        rows = ((line_number, line.split("\t")) for line_number, line in enumerate(lines, 1) if line.strip())
    line_number, row = next(rows)
    first = [cell.strip() for cell in row]
    if len(first) < 2:
        raise DataError(f"{path}:1: expected a sentence and its translation, separated by a tab (in a .csv, a comma)")
    columns = []
    for option, name, default in (("source", source, 0), ("target", target, 1)):
        if name is None or name in first:
            columns.append(default if name is None else first.index(name))
        elif name.isdecimal() and int(name) < len(first):
            columns.append(int(name))
        else:
            raise DataError(
                f"--data.{option} {name}: {path} has no such column; its first line has {' | '.join(first)}"
            )
    if source not in first and target not in first:
        rows = chain([(line_number, row)], rows)
    for line_number, cells in rows:
        if len(cells) != len(first):
            raise DataError(
                f"{path}:{line_number}: expected {len(first)} fields as in the first line, found {len(cells)}"
            )
        yield from _pair(cells[columns[0]].strip(), cells[columns[1]].strip(), path, line_number)


def _pair(source: str, target: str, path: Path, line_number: int) -> list[SentencePair]:
    """A pair, or nothing if both sides are blank."""
    if bool(source) != bool(target):
        raise DataError(f"{path}:{line_number}: one side of the pair is blank: {source or target}")
    return [(source, target)] if source else []


def pair_files(path: Path, source: str | None, target: str | None, note: Note) -> dict[str, list[Path]]:
    """The table or the two parallel files of each split; of all splits under an empty name where there are none.

    Args:
        path: a table, one of two parallel files, or a folder of either.
        source: suffix of the files to translate from.
        target: suffix of the files to translate into.
        note: reports which files of a folder are ignored.

    Raises:
        DataError: there are no such files, or it is not clear which ones are meant.
    """
    if path.is_dir():
        return _files_in(path, source, target, note)
    if path.name.endswith(TABLE_FILES):
        return {"": [path]}
    stem, _, suffix = path.name.removesuffix(".gz").rpartition(".")
    if not stem or target is None or source not in (None, suffix):
        raise DataError(
            f"{path}: expected a table (.tsv or .csv), or one of two parallel files such as train.en, "
            f"with the other's suffix as --data.target"
        )
    return {"": [path, parallel_file(path.parent, stem, target)]}


def _files_in(folder: Path, source: str | None, target: str | None, note: Note) -> dict[str, list[Path]]:
    names = [file.name.removesuffix(".gz").rpartition(".") for file in folder.iterdir() if file.is_file()]
    languages = sorted({last for first, _, last in names if split_of(first) == "train"} - TABLE_SUFFIXES)
    if not languages or (TABLE_SUFFIXES & {last for first, _, last in names if split_of(first) == "train"}):
        return {split: [table] for split, table in split_files(folder, TABLE_FILES, note).items()}
    if source is None or target is None:
        raise DataError(
            f"{folder}: has train.{' and train.'.join(languages)}; say with --data.source and --data.target "
            f"from which to translate into which"
        )
    of_source, of_target = (
        split_files(folder, (f".{language}", f".{language}.gz"), lambda ignored: None) for language in (source, target)
    )
    if missing := of_source.keys() ^ of_target.keys():
        sides = [" and ".join(file.name for file in files.values()) for files in (of_source, of_target)]
        raise DataError(f"{folder}: found {sides[0]}, but {sides[1]}: {min(missing)} is missing in one language")
    return {split: [file, of_target[split]] for split, file in of_source.items()}


def parallel_file(folder: Path, name: str, language: str) -> Path:
    """The file of a language, which may be packed as `.gz`.

    Raises:
        DataError: there is none.
    """
    for file in (folder / f"{name}.{language}", folder / f"{name}.{language}.gz"):
        if file.is_file():
            return file
    raise DataError(
        f"{folder / name}.{language}: there is no such file; expected a sentence a line, as in its counterpart"
    )
