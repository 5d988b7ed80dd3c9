"""The texts and labels of a table, kept for later runs: texts end to end, and each label once."""

import sys
from collections.abc import Iterable
from itertools import accumulate, islice, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import DataError
from datamodules.files import delimited, layout, text_files
from datamodules.files.delimited import Table, read_table, text_and_label_columns
from datamodules.files.splits import Note
from datamodules.storage.kept import Kept, code_of, kept, states_of

READER = code_of(delimited, layout, text_files, sys.modules[__name__])


class LabelledTexts(NamedTuple):
    """What is read from a table of texts.

    Args:
        table: that they are from, without its rows.
        text: the name of the column of texts.
        target: that of the column of labels.
        texts: the texts.
        labels: the label of each; equal ones share their memory.
        source: what tells the file, and how it was read, from others.
        size: bytes of the file.
    """

    table: Table
    text: str
    target: str
    texts: list[str]
    labels: list[str]
    source: str
    size: int


def kept_texts(
    path: Path, encoding: str, header: bool | None, text: str | int | None, target: str | int | None, note: Note
) -> LabelledTexts:
    """The texts and labels of a table, from what an earlier run has kept where the file is the same.

    Args:
        path: the file.
        encoding: encoding of the file.
        header: as for `read_table`.
        text: the column of texts: its name or index; inferred by default.
        target: the same of labels.
        note: reports what is left out.

    Raises:
        DataError: as by `read_table`; there is no such column, or a label is missing.
    """
    notes: list[str] = []

    def made() -> Kept:
        table = read_table(path, encoding, header, False, (text, target), notes.append)
        columns = text_and_label_columns(table, text, target)
        labels = labels_of(table, columns[1])
        lines = np.fromiter((line for line, _ in table), np.int64, len(table.rows))
        facts = {"names": table.names, "form": table.form, "columns": columns, "notes": notes}
        coded, of_labels = _coded(labels)
        texts = _joined(table.column(columns[0]))
        return Kept({"lines": lines, "labels": coded, **texts}, {**facts, "labels": of_labels})

    states = states_of([path], path.parent)
    key = ["texts", states.digest, path, encoding, header, text, target, READER]
    found = kept(made, key, states.size)
    facts = found.facts
    for line in facts["notes"]:
        note(line)
    table = Table(path, facts["names"], [], form=facts["form"], lines=found.arrays["lines"])
    labels = [*map(facts["labels"].__getitem__, found.arrays["labels"].tolist())]
    names: tuple[str, str] = facts["columns"]
    return LabelledTexts(table, *names, _separate(found.arrays), labels, "\n".join(map(str, key)), states.size)


def labels_of(table: Table, target: str) -> list[str]:
    """The labels of a table; equal ones share their memory.

    Raises:
        DataError: one is missing.
    """
    column = table.names.index(target)
    labels = [sys.intern(row[column].strip()) for _, row in table]
    if "" in labels:
        line_number, _ = next(islice(table, labels.index(""), None))
        missing = f"in {labels.count('')} of {len(labels)} rows"
        raise DataError(f"{table.path}:{line_number}: the label is missing (column {target}, {missing})")
    return labels


def _coded(labels: list[str]) -> tuple[NDArray[np.int32], list[str]]:
    """The index of each label among the different ones, and these."""
    places = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    return np.fromiter(map(places.__getitem__, labels), np.int32, len(labels)), [*places]


def _joined(texts: list[str]) -> dict[str, NDArray[np.int64] | NDArray[np.uint8]]:
    """Texts end to end, and how many characters each has."""
    letters = "".join(texts).encode()
    return {"letters": np.frombuffer(letters, np.uint8), "lengths": np.fromiter(map(len, texts), np.int64, len(texts))}


def _separate(arrays: dict[str, NDArray[np.int64]]) -> list[str]:
    letters = arrays["letters"].tobytes().decode()
    ends: Iterable[int] = accumulate(arrays["lengths"].tolist(), initial=0)
    return [letters[start:end] for start, end in pairwise(ends)]
