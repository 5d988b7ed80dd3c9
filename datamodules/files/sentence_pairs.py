"""Sentences and their translations, from a table or from two parallel files."""

import re
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path

from datamodules.errors import DataError
from datamodules.files.delimited import Table, read_lines, read_table
from datamodules.files.splits import Note, split_files, split_of
from datamodules.files.text_files import is_csv, lines_of
from datamodules.files.written_numbers import is_written_number

SentencePair = tuple[str, str]  # in both languages

TABLE_FILES = (".tsv", ".csv", ".txt", ".xlsx", ".tsv.gz", ".csv.gz", ".txt.gz")
SIDES = {  # names of columns, besides codes of languages
    *("source", "target", "src", "tgt", "trg", "text", "sentence", "translation", "id", "score", "split", "reference"),
    *("english", "german", "french", "chinese", "spanish", "italian", "russian", "japanese", "korean", "arabic"),
    *("中文", "英文", "英语", "汉语", "原文", "译文", "源语言", "目标语言", "编号"),
}
_LANGUAGE = re.compile(  # codes of ISO 639 that are no words of a first sentence
    "(?:source_|target_|sentence_|text_)?"
    "(?:en|de|fr|zh|cn|es|it|ru|ja|jp|ko|ar|pt|nl|pl|tr|vi|th|hi|cs|sv|da|fi|el|he|hu|ro|uk|fa|eng|deu|fra|cmn|zho|spa)"
    "(?:[_-][A-Za-z]{2,4})?$",
    re.IGNORECASE,
)
TABLE_SUFFIXES = {"tsv", "csv", "txt", "xlsx"}


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


def read_parallel(source: Path, target: Path, encoding: str, note: Note) -> Iterator[SentencePair]:
    """Pairs of two files that have a sentence on each line; those that are blank on a side are left out.

    Raises:
        DataError: a file is empty, or they differ in length.
    """

    def sides() -> Iterator[tuple[int, str, str]]:
        lines = zip_longest(lines_without_end(source, encoding), lines_without_end(target, encoding))
        for line_number, (one, other) in enumerate(lines, 1):
            if one is None or other is None:
                sizes = [sum(1 for _ in lines_without_end(path, encoding)) for path in (source, target)]
                raise DataError(f"{target}: expected {sizes[0]} lines as in {source.name}, found {sizes[1]}")
            yield line_number, one, other

    return _complete(sides(), target, note)


def read_pairs(path: Path, encoding: str, source: str | None, target: str | None, note: Note) -> Iterator[SentencePair]:
    """Pairs of two columns of a table; those that are blank on a side are left out.

    Args:
        path: the file: comma-separated and quoted if it is a `.csv`, else tab-separated.
        encoding: encoding of the file.
        source: name or index of the source's column; the first with sentences by default.
        target: the same of the translation's column; the second with sentences by default.
        note: reports which columns are read, where that is not plain, and how many pairs are left out.

    Raises:
        DataError: the file is empty or ragged (with the line), or has no such column.
    """
    table, sentences = _sentence_columns(path, encoding, [source, target], note)
    if len(table.names) < 2:
        raise DataError(f"{path}:1: expected a sentence and its translation, separated by a tab (in a .csv, a comma)")
    chosen = [
        default if name is None else _column(table, name, option)
        for option, name, default in (("source", source, sentences[0]), ("target", target, sentences[1]))
    ]
    if source is None and target is None and chosen != table.names[:2]:
        note(f"{path}: reads column {chosen[0]} and its translation, {chosen[1]}; those before have no sentences")
    one, other = (table.names.index(name) for name in chosen)
    return _complete(((line_number, row[one], row[other]) for line_number, row in table), path, note)


def read_sources(path: Path, encoding: str, source: str | None, note: Note) -> Iterator[str]:
    """The sentences of a file to translate: its lines, or the source's column of a table; without blank ones.

    Args:
        path: the file.
        encoding: encoding of the file.
        source: name or index of the column in training; the first with sentences where there is none of that name.
        note: reports what is left out.
    """
    lines = read_lines(path, encoding, large=True)
    if not is_csv(path) and not all("\t" in line for _, (line,) in lines.rows):
        return (line for _, (line,) in lines)
    table, sentences = _sentence_columns(path, encoding, [source], note)
    known = source is not None and (source in table.names or source.isdecimal())
    column = table.names.index(_column(table, str(source), "source") if known else sentences[0])
    return (row[column].strip() for _, row in table if row[column].strip())


def _sentence_columns(path: Path, encoding: str, named: list[str | None], note: Note) -> tuple[Table, list[str]]:
    """A table, and the names of its columns that have sentences; of at least two columns, where it has two."""
    quoted = is_csv(path)  # elsewhere a quote is one of a sentence
    first = [cell.strip() for cell in read_table(path, encoding, False, large=True, quoted=quoted).rows[0][1]]
    header = any(name in first for name in named if name is not None) or all(map(_names_a_side, first))
    table = read_table(path, encoding, header, large=True, note=note, quoted=quoted)
    sentences = [name for name in table.names if not _has_no_sentences(table, name)]
    return table, sentences if len(sentences) > 1 or len(table.names) == 1 else table.names


def _column(table: Table, name: str, option: str) -> str:
    """The name of a column that an option names.

    Raises:
        DataError: there is no such column.
    """
    if name not in table.names and not (name.isdecimal() and int(name) < len(table.names)):
        shown = " | ".join(table.rows[0][1] if table.names[0] == "0" else table.names)
        raise DataError(f"--data.{option} {name}: {table.path} has no such column; its first line has {shown}")
    return table.column_name(name, f"--data.{option}")


def _names_a_side(cell: str) -> bool:
    """Whether a cell is the name of a language or a column, and no sentence."""
    return cell.strip().lower() in SIDES or bool(_LANGUAGE.match(cell.strip()))


def _has_no_sentences(table: Table, name: str) -> bool:
    """Whether a column has numbers, scores, names of languages, or nothing, as far as the first rows go."""
    column = table.names.index(name)
    cells = [row[column].strip() for _, row in table.rows if row[column].strip()]
    return all(map(is_written_number, cells)) or all(map(_names_a_side, cells)) or name.lower() in ("id", "score")


def _complete(sides: Iterable[tuple[int, str, str]], path: Path, note: Note) -> Iterator[SentencePair]:
    """The pairs that have both sides; the others are counted."""
    blank: list[int] = []
    for line_number, one, other in sides:
        pair = one.strip(), other.strip()
        if all(pair):
            yield pair
        elif any(pair):
            blank.append(line_number)
    if blank:
        note(f"{path}: left out {len(blank)} pairs that are blank on one side, the first in line {blank[0]}")


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
