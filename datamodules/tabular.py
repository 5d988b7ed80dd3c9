"""Tables: numbers scaled, categories encoded, missing values filled in, all fitted to the training split."""

import math
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from datamodules.base import DataModule
from datamodules.errors import DataError
from datamodules.files.encoding import known_encoding
from datamodules.files.splits import split_files
from datamodules.files.table_columns import (
    Column,
    column_called,
    column_digest,
    is_number,
    is_numeric,
    numbers,
    strings,
)
from datamodules.files.tables import TABLE_FILES, aligned, read_table
from datamodules.labels import LabelledData, class_codes
from datamodules.loading.examples import Rows, Source
from datamodules.storage.fingerprint import hash_numbers


class Tabular(DataModule):
    """Rows of a table, one column of which is the target.

    A batch is `(features, target)`: (B, num_features) float32, and (B,).

    Args:
        dataset: a known data set, or the path of a CSV or Parquet file, or of a folder with train, val and test files.
        target: name or index (from 0; negative from the end) of the column to predict.
        header: whether a CSV file's first row names the columns; detected by default.
        encoding: of a CSV file.
        ignore: names or indices of columns to leave out.
        kwargs: as for DataModule.
    """

    provides: ClassVar[tuple[str, ...]] = ("num_features",)
    fitted: ClassVar[tuple[str, ...]] = ("columns", "column_names", "target_name")

    def __init__(
        self,
        dataset: str = "breast_cancer",
        target: str | int = -1,
        header: bool | None = None,
        encoding: str = "utf-8",
        ignore: list[str | int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dataset=dataset, **kwargs)
        self.target = target
        self.header = header
        self.encoding = known_encoding(encoding)
        self.ignore = ignore or []
        self.columns: list[dict[str, Any]] = []
        self.column_names: list[str] = []
        self.target_name = ""
        self.table: pa.Table

    @property
    def num_features(self) -> int:
        """Number of features after encoding."""
        return len(self.feature_names)

    @property
    def feature_names(self) -> list[str]:
        """The name of each feature."""
        return [feature for state in self.columns for feature in Column(state).features]

    def _embedded_table(self) -> pa.Table:
        from sklearn import datasets  # a second to import, and unused for own files

        bunch = getattr(datasets, f"load_{self.dataset}")()
        columns = dict(zip(bunch.feature_names, bunch.data.T, strict=True))
        names = getattr(bunch, "target_names", None)
        target = bunch.target if names is None else np.asarray(names)[bunch.target].astype(str)
        return pa.table({**columns, "target": target})

    def read(self) -> Source:
        """Read the table and the target: one file, or a folder with a file for each split."""
        official: dict[str, Tensor] = {}
        if self.is_embedded:
            self.table = self._embedded_table()
        elif self.path.is_dir():
            files = split_files(self.path, TABLE_FILES, self.note)
            parts = {name: read_table(file, self.encoding, self.header) for name, file in files.items()}
            start = 0
            for name, part in parts.items():
                official[name] = torch.arange(start, start + len(part))
                start += len(part)
                parts[name] = aligned(next(iter(parts.values())), part, files[name])
            official.pop("", None)
            self.table = pa.concat_tables(parts.values(), promote_options="permissive")
        else:
            self.table = read_table(self.path, self.encoding, self.header)
        if not self.restored:
            self.column_names = self.table.column_names
            self.target_name = column_called(self.target, self.table, "--data.target", self.dataset)
        elif self.target_name not in self.table.column_names:
            raise self._lacks(self.target_name, self.table, self.dataset)
        if len(self.table) == 0:
            raise DataError(f"{self.dataset}: a header and no rows")
        column = self.table[self.target_name]
        if column.null_count:
            row = pc.index(pc.is_null(column), True).as_py()
            raise DataError(
                f"{self.dataset}: row {row + 1}: the target {self.target_name} is missing "
                f"(in {column.null_count} of {len(column)} rows)"
            )
        return Source(len(self.table), self.read_target(column), official)

    @abstractmethod
    def read_target(self, column: pa.ChunkedArray) -> Tensor | None:
        """Take the target from its column; class indices if they are classes."""

    def _lacks(self, name: str, table: pa.Table, where: object) -> DataError:
        return DataError(f"{where}: no column {name}; it has {', '.join(table.column_names)}")

    def example_hashes(self) -> list[int]:
        """A hash of each row."""
        keys = np.zeros(len(self.table), np.uint64)
        for name in self.table.column_names:
            codes = self.table[name].combine_chunks().dictionary_encode().indices.fill_null(-1)
            keys = (keys ^ codes.to_numpy().astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)  # golden-ratio hashing
            keys ^= keys >> np.uint64(29)
        return keys.tolist()

    def contents(self) -> dict[str, str]:
        """Digests of each column that is used, and of the target."""
        used = {f"column {state['name']}": column_digest(self.table[state["name"]]) for state in self.columns}
        return used | {"target": self.target_digest()}

    @abstractmethod
    def target_digest(self) -> str:
        """A digest of the target of all rows."""

    def fit(self, train: Tensor) -> None:
        """Fit every column's scaling or categories."""
        ignored = {column_called(name, self.table, "--data.ignore", self.dataset) for name in self.ignore}
        ignored.add(self.target_name)
        columns = (
            Column.fitted(name, self.table[name], train) for name in self.table.column_names if name not in ignored
        )
        self.columns = [column.state for column in columns if column is not None]
        if not self.columns:
            raise DataError(f"{self.dataset}: no column to predict {self.target_name} from")
        self._encode(self.table, self.dataset)  # refuses an infinity anywhere before training

    def _encode(self, table: pa.Table, where: str) -> Tensor:
        for state in self.columns:
            if state["name"] not in table.column_names:
                raise self._lacks(state["name"], table, where)
        return torch.cat([Column(state).encode(table[state["name"]], where) for state in self.columns], dim=1)

    @abstractmethod
    def _targets(self) -> Tensor:
        """The targets of all rows."""

    def examples(self, index: Tensor) -> Rows:
        """Rows of the encoded table."""
        part = self.table.take(pa.array(index.numpy()))
        return Rows(self._encode(part, self.dataset), self._targets()[index])

    def read_input(self, path: Path) -> tuple[Rows, list[str]]:
        """Rows of a file that may lack the target column."""
        table = read_table(path, self.encoding, self.header)
        inputs = [name for name in self.column_names if name != self.target_name]
        if all(name.isdecimal() for name in inputs) and table.num_columns == len(inputs):
            table = table.rename_columns(inputs)  # they are named by their index, wherever the target was
        return Rows(self._encode(table, str(path))), [str(row + 1) for row in range(len(table))]


class TabularClassification(Tabular, LabelledData):
    """Rows of a table that each belong to a class.

    Provides num_features, num_classes, class_names and class_counts.
    """

    embedded: ClassVar[tuple[str, ...]] = ("breast_cancer", "wine", "iris")
    provides: ClassVar[tuple[str, ...]] = (*Tabular.provides, *LabelledData.provides)
    fitted: ClassVar[tuple[str, ...]] = (*Tabular.fitted, *LabelledData.fitted)

    def read_target(self, column: pa.ChunkedArray) -> Tensor:
        """Class indices."""
        if pa.types.is_floating(column.type) and pc.count_distinct(column).as_py() > max(20, len(column) // 10):
            raise DataError(
                f"{self.dataset}: the target {self.target_name} is a number with "
                f"{pc.count_distinct(column).as_py()} values; a classifier needs classes "
                f"(--data.target chooses another column; --model linear_regression predicts numbers)"
            )
        labels = [str(value) for value in strings(column)]
        self.class_names, self.labels = class_codes(labels, self.known_classes, self.dataset)
        return self.labels

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
            texts = [str(text) for text in strings(column)]
            for row, text in enumerate(texts):
                if not is_number(text):
                    raise DataError(
                        f"{self.dataset}: row {row + 1}: the target {self.target_name} is {text}, expected a number "
                        f"(--data.target chooses another column; --model mlp predicts classes)"
                    )
            values = np.asarray(texts, dtype=np.float64)
        if not np.isfinite(values).all():
            row = int((~np.isfinite(values)).argmax())
            raise DataError(f"{self.dataset}: row {row + 1}: the target {self.target_name} is {values[row]}")
        self.values = torch.from_numpy(values.astype(np.float32))

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
