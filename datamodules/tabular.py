"""Tables: numbers scaled, categories encoded, missing values filled in, all fitted to the training split."""

import json
import math
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from datamodules.base import DataModule
from datamodules.baselines.baseline import Baseline
from datamodules.baselines.boosting import Boosting
from datamodules.baselines.linear import Logistic, Ridge
from datamodules.checking import facts
from datamodules.checking.described import sampled
from datamodules.checking.facts import column_fact, row_shown
from datamodules.checking.giveaway import ROWS, columns_telling_class, columns_telling_number
from datamodules.checking.suspicions import Compared
from datamodules.errors import DataError
from datamodules.export.exportable import ExportableModule
from datamodules.export.exportable_rows import ExportableRows
from datamodules.files import date_columns, dates, table_columns, tables
from datamodules.files.date_columns import DATES, PARTS, Dates, Orders, as_features, with_times
from datamodules.files.encoding import known_encoding
from datamodules.files.number_columns import stated_decimal
from datamodules.files.sklearn_data import read_sklearn_table
from datamodules.files.splits import listed, split_files
from datamodules.files.table_columns import (
    Column,
    cell_codes,
    cell_hashes,
    column_called,
    column_digest,
    counted_strings,
    counting_columns,
    distinct_strings,
    encoded,
    id_column,
    is_numeric,
    numbers,
    refuse_infinity,
    strings,
)
from datamodules.files.tables import (
    TABLE_FILES,
    Reading,
    aligned,
    form_of,
    kept_table,
    lines_of_rows,
    read_table,
    source_of,
    without_marks,
)
from datamodules.files.written_numbers import MARKS, Decimal, is_number
from datamodules.labels import LabelledData, classes_of_distinct
from datamodules.loading.examples import Rows, Source
from datamodules.storage.fingerprint import hash_numbers
from datamodules.storage.kept import Kept, code_of

CLASS_MARKS = ("None", "NA", "N/A", "n/a", "null", "NULL")  # that may name a class of the target
MAX_CLASSES_BESIDE_A_MARK = 20
FACTS = code_of(facts)
PREPARED = code_of(date_columns, dates, table_columns, tables, sys.modules[__name__])
EQUAL = 1e-12  # the squared distance of equal rows, but for rounding


class Tabular(DataModule):
    """Rows of a table, one column of which is the target.

    A batch is `(features, target)`: (B, num_features) float32, and (B,).

    Args:
        dataset: a known data set, or the path of a CSV or Parquet file, or of a folder with train, val and test files.
        target: name or index (from 0; negative from the end) of the column to predict.
        header: whether a CSV file's first row names the columns; detected by default.
        encoding: of a CSV file.
        ignore: names or indices of columns to leave out.
        decimal: the decimal sign, "." or ","; decided from the numbers by default.
        dates: what becomes of columns of dates: the time that has `elapsed`, the `parts` (year, month, day, weekday,
            hour), or `none`.
        day_first: whether a date such as 02/03/2021 is in March; decided from all dates by default.
        kwargs: as for DataModule.
    """

    provides: ClassVar[tuple[str, ...]] = ("num_features",)
    fitted: ClassVar[tuple[str, ...]] = ("columns", "column_names", "target_name", "date_orders", "decimal_found")
    of_own: ClassVar[tuple[str, ...]] = ("header", "encoding", "decimal", "dates", "day_first")
    typed: ClassVar[tuple[str, str]] = ".csv", ".jsonl"
    added: ClassVar[dict[str, Any]] = {"date_orders": {}, "decimal_found": None}

    def __init__(
        self,
        dataset: str = "breast_cancer",
        target: str | int = -1,
        header: bool | None = None,
        encoding: str = "utf-8",
        ignore: list[str | int] | None = None,
        decimal: Decimal | None = None,
        dates: Dates = "elapsed",
        day_first: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dataset=dataset, **kwargs)
        if dates not in DATES:
            raise ValueError(f"--data.dates: expected one of {', '.join(DATES)}, got {dates}")
        self.dates = dates
        self.day_first = day_first
        self.date_orders: Orders = {}
        self.decimal_found: Decimal | None = None
        if decimal not in (None, ".", ","):
            raise ValueError(f'--data.decimal: expected "." or ",", got {decimal}')
        self.decimal = decimal
        self.target = target
        self.header = header
        self.encoding = known_encoding(encoding)
        self.ignore = ignore or []
        self.columns: list[dict[str, Any]] = []
        self.column_names: list[str] = []
        self.target_name = ""
        self.table: pa.Table
        self._lines: dict[Path, Sequence[int] | NDArray[np.int64]] = {}
        self.form = ""  # of the files, in words
        self.files: list[tuple[Path, int]] = []  # and their rows
        self._read_from: list[str | None] = []  # what tells the table of each file from others

    @property
    def num_features(self) -> int:
        """Number of features after encoding."""
        return len(self.feature_names)

    @property
    def feature_names(self) -> list[str]:
        """The name of each feature."""
        return [feature for state in self.columns for feature in Column(state).features]

    @property
    def target_unit(self) -> str:
        """The target's column, whose own it is; those of the tables of scikit-learn have no names."""
        return "" if self.is_embedded else self.target_name

    def _read_file(self, file: Path, texts: Iterable[str] = ()) -> pa.Table:
        """The table of a file; columns are texts where they are in the training split."""
        if self.restored or self.columns:
            texts = self._texts
        table = kept_table(file, self._reading(texts))
        self.decimal_found = self.decimal_found or stated_decimal(table)
        self.form = self.form or form_of(table)
        self._read_from.append(source_of(table))
        return table

    @property
    def _texts(self) -> list[str]:
        """The columns that were texts in training."""
        return [state["name"] for state in self.columns if state["kind"] == "category"]

    def _reading(self, texts: Iterable[str] = ()) -> Reading:
        names = [*self.column_names, self.target, *self.ignore]
        decimal, fitted = self.decimal or self.decimal_found, self.restored or bool(self.columns)
        return Reading(self.encoding, self.header, names, frozenset(texts), decimal, fitted, self.note)

    def read(self) -> Source:
        """Read the table and the target: one file, or a folder with a file for each split."""
        official: dict[str, Tensor] = {}
        self._read_from = []
        if self.is_embedded:
            self.table = read_sklearn_table(self.dataset)
        elif self.path.is_dir():
            self.table, official = self._read_splits(split_files(self.path, TABLE_FILES, self.note))
        else:
            self.table = self._read_file(self.path)
            self.files = [(self.path, len(self.table))]
        if not self.restored:
            self.column_names = self.table.column_names
            self.target_name = column_called(self.target, self.table, "--data.target", self.dataset)
            if self.table.num_columns == 1:
                raise DataError(f"{self.dataset}: has one column, and no column to predict {self.target_name} from")
        elif self.target_name not in self.table.column_names:
            raise self._lacks(self.target_name, self.table, self.dataset)
        if len(self.table) == 0:
            raise DataError(f"{self.dataset}: a header and no rows")
        self.table = self._prepared(
            without_marks(self.table, self._target_of_classes(), self._marks_kept), self.dataset
        )
        column = self.table[self.target_name]
        if column.null_count:
            row = pc.index(pc.is_null(column), True).as_py()
            raise DataError(
                f"{self.dataset}: row {row + 1}: the target {self.target_name} is missing "
                f"(in {column.null_count} of {len(column)} rows)"
            )
        return Source(len(self.table), self.read_target(column), official)

    def _read_splits(self, files: dict[str, Path]) -> tuple[pa.Table, dict[str, Tensor]]:
        """The tables of all splits together, and the rows of each; a test file without the target is left out."""
        parts: dict[str, pa.Table] = {}
        official: dict[str, Tensor] = {}
        self.files, start = [], 0
        for split, file in files.items():
            texts = [of.name for of in parts["train"].schema if pa.types.is_string(of.type)] if parts else []
            part = self._read_file(file, texts)
            train = parts.setdefault("train", part)
            target = column_called(self.target, train, "--data.target", file)
            if (
                split == "test"
                and {*part.column_names, target} == {*train.column_names}
                and target not in part.column_names
            ):
                self.note(
                    f"{file}: has no column {target}, and is not tested on; predict it with "
                    f"python scripts/predict.py --checkpoint RUN --input {file}"
                )
                continue
            parts[split] = aligned(train, part, file)
            self.files.append((file, len(part)))
            official[split] = torch.arange(start, start + len(part))
            start += len(part)
        official.pop("", None)
        return pa.concat_tables(
            [parts[split] for split in files if split in parts], promote_options="permissive"
        ), official

    @property
    def _marks_kept(self) -> list[str]:
        """The columns of which a mark of missing values is a category, as earlier versions read ` ?` after a blank."""
        return [state["name"] for state in self.columns if {*state.get("values", ())} & {*MARKS} - {""}]

    def _prepared(self, table: pa.Table, where: str) -> pa.Table:
        """The table with its dates as features."""
        orders = self.date_orders if self.restored or self.columns else None
        table, orders = with_times(table, orders, self.day_first, self.target_name, where, self.note)
        if not self.restored:
            self.date_orders = orders
        return as_features(table, self.dates, self.target_name)

    def _target_of_classes(self) -> str | None:
        """The target's name if a mark of missing values, such as None, is one of its few classes."""
        return None

    @abstractmethod
    def read_target(self, column: pa.ChunkedArray) -> Tensor | None:
        """Take the target from its column; class indices if they are classes."""

    def _lacks(self, name: str, table: pa.Table, where: object) -> DataError:
        return DataError(f"{where}: no column {name}; it has {', '.join(table.column_names)}")

    @property
    def data_key(self) -> list[object]:
        """The files, and what decides how they become the table."""
        if not self._read_from or None in self._read_from:
            return []
        settings = [self.target_name, self.dates, self.day_first, self.date_orders, self._marks_kept]
        return ["table", *self._read_from, *settings, PREPARED]

    @property
    def data_size(self) -> int:
        """Bytes of the table."""
        return int(self.table.nbytes)

    def example_hashes(self) -> NDArray[np.uint64]:
        """A hash of each row."""
        return self._row_hashes(cell_hashes)

    def earlier_identities(self) -> list[int]:
        """A hash of each row by the order in which its cells first occur, which takes ten times as long."""
        identities: list[int] = self._row_hashes(cell_codes).tolist()
        return identities

    def _row_hashes(self, of_cells: Callable[[pa.ChunkedArray], NDArray[np.uint64]]) -> NDArray[np.uint64]:
        keys = np.zeros(len(self.table), np.uint64)
        for name in self.table.column_names:
            keys = (keys ^ of_cells(self.table[name])) * np.uint64(0x9E3779B97F4A7C15)  # golden-ratio hashing
            keys ^= keys >> np.uint64(29)
        return keys

    def facts(self) -> list[tuple[str, str]]:
        """What each column was taken for."""
        used = {state["name"] for state in self.columns}
        names = [name for name in self.table.column_names if name != self.target_name]

        def made() -> list[str]:
            return [column_fact(self.table[name], "" if name in used else "left out") for name in names]

        form = [("format", self.form)] if self.form else []
        found = zip(names, self.kept_fact("facts", made, sorted(used), FACTS), strict=True)
        return [*form, (self.target_name, f"target: {self.target_fact()}"), *found]

    def target_fact(self) -> str:
        """What the target was taken for."""
        return column_fact(self.table[self.target_name])

    def shown(self, row: int) -> tuple[str, str]:
        """The cells of a row, and its target."""
        return row_shown(self.table, row, self.target_name)

    def origin(self, row: int) -> str:
        """The file and line of a row."""
        for file, size in self.files:
            if row < size:
                if file not in self._lines:
                    self._lines[file] = lines_of_rows(file, self._reading(), size)
                lines = self._lines[file]
                return f"{file.name}:{lines[row]}" if len(lines) == size else f"{file.name}, row {row + 1}"
            row -= size
        return super().origin(row)

    def features_of_columns(self) -> dict[str, list[str]]:
        """The features that each column becomes: a category's values, a number and if it is missing, date parts."""
        dates = {f"{name} {part}": name for name in self.date_orders for part in PARTS if self.dates == "parts"}
        found: dict[str, list[str]] = {}
        for state in self.columns:
            found.setdefault(dates.get(state["name"], state["name"]), []).extend(Column(state).features)
        return found

    def as_vectors(self, rows: Tensor) -> Compared:
        """The encoded rows, without the target; equal rows are the same example."""
        table, counting = self.table.take(pa.array(rows.numpy())), counting_columns(self.table)
        states = [state for state in self.columns if state["name"] not in counting] or self.columns
        vectors = self._encode(table, self.dataset, states).double().numpy()
        return Compared(vectors / max(1, vectors.shape[1]) ** 0.5, EQUAL, self._left_out_texts(table))

    def _left_out_texts(self, table: pa.Table) -> np.ndarray[Any, Any]:
        """A hash of the texts of each row that are neither features nor identifiers, such as names."""
        used = {state["name"] for state in self.columns} | {self.target_name} | counting_columns(self.table)
        names = [name for name in table.column_names if name not in used and not is_numeric(table[name])]
        rows = zip(*(strings(table[name]) for name in names), strict=True) if names else [()] * len(table)
        return np.fromiter(map(hash, rows), np.int64)

    def giveaways(self) -> list[str]:
        """Columns that tell the target, or the order of the rows."""
        counting = counting_columns(self.table)
        found = [
            f"column {state['name']} identifies the rows, and is read as a feature; --data.ignore leaves it out"
            for state in self.columns
            if state["name"] in counting
        ]
        rows = sampled(self.splits.train, ROWS)
        used = self.table.select([state["name"] for state in self.columns]).take(pa.array(rows.numpy()))
        return found + self.told_by(used, self._targets()[rows].numpy())

    @abstractmethod
    def told_by(self, columns: pa.Table, target: np.ndarray[Any, Any]) -> list[str]:
        """Which columns tell the target of some rows, in words."""

    def contents(self) -> dict[str, str]:
        """Digests of each column that is used, and of the target."""
        names = [state["name"] for state in self.columns]
        digests = self.kept_fact("digests", lambda: [column_digest(self.table[name]) for name in names], names)
        return {f"column {name}": digest for name, digest in zip(names, digests, strict=True)} | {
            "target": self.target_digest()
        }

    @abstractmethod
    def target_digest(self) -> str:
        """A digest of the target of all rows."""

    def fit(self, train: Tensor) -> None:
        """Fit every column's scaling or categories."""
        ignored = {column_called(name, self.table, "--data.ignore", self.dataset) for name in self.ignore}
        ignored.add(self.target_name)
        names = [name for name in self.table.column_names if name not in ignored]
        states = self.kept_fact("columns", lambda: self._fitted(names, train), names, hash_numbers(train))
        if left_out := [name for name, state in zip(names, states, strict=True) if state is None]:
            self.note(
                f"{self.dataset}: left out columns without values, or whose values hardly recur: {listed(left_out)}"
            )
        self.columns = [state for state in states if state is not None]
        if not self.columns:
            raise DataError(f"{self.dataset}: no column to predict {self.target_name} from")

    def _fitted(self, names: Iterable[str], train: Tensor) -> list[dict[str, Any] | None]:
        """The state of each column; none of those that are left out.

        Raises:
            DataError: one of the others has an infinity anywhere.
        """
        columns = [Column.fitted(name, self.table[name], train) for name in names]
        for column in columns:
            if column is not None and column.state["kind"] == "number":
                name = column.state["name"]
                refuse_infinity(numbers(self.table[name]), name, self.dataset)
        return [None if column is None else column.state for column in columns]

    def _encode(
        self,
        table: pa.Table,
        where: str,
        states: list[dict[str, Any]] | None = None,
        index: Tensor | None = None,
    ) -> Tensor:
        """The features of all columns, or of some; of all rows, or of some."""
        states = states or self.columns
        for state in states:
            if state["name"] not in table.column_names:
                raise self._lacks(state["name"], table, where)
        return encoded(table, states, where, index)

    @abstractmethod
    def _targets(self) -> Tensor:
        """The targets of all rows."""

    def examples(self, index: Tensor) -> Rows:
        """Rows of the encoded table; those of a split as an earlier run has encoded them, if it read the same table."""

        def encoded_rows() -> Kept:
            return Kept({"features": self._encode(self.table, self.dataset, index=index).numpy()})

        is_split = self.is_set_up and any(index is split for split in self.splits)
        states = json.dumps(self.columns, default=str)
        found = self.kept_part("features", encoded_rows, states, hash_numbers(index)) if is_split else encoded_rows()
        return Rows(torch.from_numpy(found.arrays["features"]), self._targets()[index])

    def export_inputs(self, model: nn.Module) -> ExportableModule:
        """A trained model that reads encoded rows."""
        return ExportableRows(model, self)

    def typed_example(self, text: str) -> str:
        """A row, whose values may be between tabs, as a spreadsheet copies them."""
        return "\t".join(map(super().typed_example, text.split("\t")))

    def read_input(self, path: Path) -> tuple[Rows, list[str]]:
        """Rows of a file that may lack the target column, named by its column of ids, or else by their numbers."""
        table = self._by_position(self._read_file(path), path)
        table = without_marks(table, kept=self._marks_kept)
        ids = id_column(table)
        of_rows = None if ids is None else [str(text) for text in strings(table[ids])]
        table = self._prepared(table, str(path))
        return Rows(self._encode(table, str(path))), of_rows or [str(row + 1) for row in range(len(table))]

    def _by_position(self, table: pa.Table, path: Path) -> pa.Table:
        """A table of which either the file to predict or that of training has no header, with the names of training.

        Raises:
            DataError: it has not as many columns.
        """
        names, inputs = table.column_names, [name for name in self.column_names if name != self.target_name]
        unnamed, was_unnamed = (all(name.isdecimal() for name in of) for of in (names, inputs))
        if not (unnamed or was_unnamed):
            return table
        if not {*inputs} <= {*names}:
            expected = inputs if len(names) == len(inputs) else self.column_names
            if len(names) != len(expected):
                if {state["name"] for state in self.columns} <= {*names}:
                    return table
                found = f"{len(names)} columns{' without names' if unnamed else ', and training had no names'}"
                raise DataError(f"{path}: has {found}; expected {len(inputs)}, of {listed(inputs, 10)}")
            if texts := [names[place] for place, name in enumerate(expected) if name in self._texts]:
                table = read_table(path, replace(self._reading(texts), note=lambda text: None))
            if not was_unnamed:
                self.note(f"{path}: has no header; its columns are taken for {', '.join(expected)}, in this order")
            elif not unnamed:
                self.note(f"{path}: training had no header; the columns {', '.join(names)} are taken in this order")
            table = table.rename_columns(expected)
        if self.target_name in table.column_names and not self._may_be_target(table[self.target_name]):
            first, wanted = strings(table[self.target_name])[0], listed(inputs, 10)
            raise DataError(f"{path}: {self.target_name} would be {first} in row 1; expected columns {wanted}")
        return table

    def _may_be_target(self, column: pa.ChunkedArray) -> bool:
        """Whether a column that by its position is the target may be it."""
        return is_numeric(column)


class TabularClassification(Tabular, LabelledData):
    """Rows of a table that each belong to a class.

    Provides num_features, num_classes, class_names and class_counts.
    """

    embedded: ClassVar[tuple[str, ...]] = ("breast_cancer", "wine", "iris")
    provides: ClassVar[tuple[str, ...]] = (*Tabular.provides, *LabelledData.provides)
    fitted: ClassVar[tuple[str, ...]] = (*Tabular.fitted, *LabelledData.fitted)

    def _target_of_classes(self) -> str | None:
        column = self.table[self.target_name]
        if not pa.types.is_string(column.type):
            return None
        counts = counted_strings(column)
        marks = {mark: count for mark, count in counts.items() if mark in CLASS_MARKS}
        if not marks or not 0 < len(counts) - len(marks) <= MAX_CLASSES_BESIDE_A_MARK:
            return None
        found = " and ".join(f"{mark} ({count} rows)" for mark, count in marks.items())
        self.note(
            f"{self.dataset}: {found} is a class of the target {self.target_name}; remove these rows if it is not"
        )
        return self.target_name

    def read_target(self, column: pa.ChunkedArray) -> Tensor:
        """Class indices."""
        if pa.types.is_floating(column.type) and pc.count_distinct(column).as_py() > max(20, len(column) // 10):
            raise DataError(
                f"{self.dataset}: the target {self.target_name} is a number with "
                f"{pc.count_distinct(column).as_py()} values; a classifier needs classes "
                f"(--data.target chooses another column; --model linear_regression predicts numbers)"
            )
        texts, places = distinct_strings(column)
        self.class_names, self.labels = classes_of_distinct(texts, places, self.known_classes, self.dataset, self.note)
        return self.labels

    def _may_be_target(self, column: pa.ChunkedArray) -> bool:
        """Whether one of its values is a class, or it has none."""
        if is_numeric(column) and all(is_number(name) or name in ("true", "false") for name in self.class_names):
            return True  # they may be written in another way
        return not {*strings(column)}.isdisjoint((None, "", *self.class_names))

    def target_fact(self) -> str:
        """The number of classes."""
        return f"{self.num_classes:,} classes"

    def baselines(self) -> dict[str, Baseline]:
        """Logistic regression and gradient boosting."""
        sizes = self.num_features, self.num_classes
        return {"logistic": Logistic(*sizes), "boosting": Boosting(*sizes)}

    def told_by(self, columns: pa.Table, target: np.ndarray[Any, Any]) -> list[str]:
        """Columns that tell the class."""
        return columns_telling_class(columns, target, self.target_name)

    def target_digest(self) -> str:
        """A digest of each row's class name."""
        return self.label_digest

    def _targets(self) -> Tensor:
        return self.labels


class TabularRegression(Tabular):
    """Rows of a table with a number to predict.

    Provides num_features, and the target's mean and standard deviation in the training split.
    """

    embedded: ClassVar[tuple[str, ...]] = ("diabetes",)
    provides: ClassVar[tuple[str, ...]] = (*Tabular.provides, "target_mean", "target_std")
    fitted: ClassVar[tuple[str, ...]] = (*Tabular.fitted, "target_mean", "target_std")
    target_mean: float
    target_std: float

    def __init__(self, dataset: str = "diabetes", **kwargs: Any) -> None:
        super().__init__(dataset=dataset, **kwargs)

    def read_target(self, column: pa.ChunkedArray) -> None:
        """Numbers."""
        if is_numeric(column):
            values = numbers(column)
        else:
            texts, places = distinct_strings(column)
            wrong = np.isin(places, [place for place, text in enumerate(texts) if not is_number(text)])
            if wrong.any():
                row = int(wrong.argmax())
                raise DataError(
                    f"{self.dataset}: row {row + 1}: the target {self.target_name} is {texts[places[row]]}, expected a "
                    f"number (--data.target chooses another column; --model mlp predicts classes)"
                )
            values = np.asarray(texts, dtype=np.float64)[places]
        if not np.isfinite(values).all():
            row = int((~np.isfinite(values)).argmax())
            raise DataError(f"{self.dataset}: row {row + 1}: the target {self.target_name} is {values[row]}")
        self.values = torch.from_numpy(values.astype(np.float32))

    def baselines(self) -> dict[str, Baseline]:
        """Ridge regression and gradient boosting."""
        return {"ridge": Ridge(self.num_features), "boosting": Boosting(self.num_features)}

    def told_by(self, columns: pa.Table, target: np.ndarray[Any, Any]) -> list[str]:
        """Columns that tell the number."""
        return columns_telling_number(columns, target, self.target_name)

    def target_digest(self) -> str:
        """A digest of the numbers."""
        return hash_numbers(self.values)

    def fit(self, train: Tensor) -> None:
        """Fit, in addition, the target's mean and standard deviation."""
        super().fit(train)
        self.target_mean = float(self.values[train].double().mean())
        self.target_std = float(self.values[train].double().std(correction=0))
        if self.target_std == 0 or not math.isfinite(self.target_std):
            raise DataError(f"{self.dataset}: the target {self.target_name} is always {self.target_mean:g}")

    def _targets(self) -> Tensor:
        return self.values
