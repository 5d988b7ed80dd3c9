"""Tables: numbers scaled, categories encoded, missing values filled in, all learned from the training split."""

import csv
import io
import math
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import torch
from torch import Tensor
from xxhash import xxh3_64

from datamodules.base import DataModule
from datamodules.files.encoding import decoded, known_encoding
from datamodules.files.text_files import byte_stream
from datamodules.labels import LabelledData, class_codes
from datamodules.loading.examples import Rows, Source
from datamodules.storage.download import DataError
from datamodules.storage.fingerprint import hash_numbers

MISSING = ["", "?", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "#N/A"]
TABLE_FILES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz", ".parquet", ".pq")
SPLITS = ("train", "val", "test")


def _lines(path: Path, encoding: str) -> io.StringIO:
    """The file's text.

    Raises:
        DataError: it is not text in that encoding; the message has the byte.
    """
    with byte_stream(path) as stream:
        return io.StringIO(decoded(stream.read(), encoding, path), newline="")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns: no cell of it is a number, empty, or found again in its column."""
    first, rest = rows[0], rows[1:]
    if any(_is_number(cell) or not cell.strip() for cell in first):
        return False
    return not any(cell == row[column] for row in rest for column, cell in enumerate(first) if column < len(row))


def read_table(path: Path, encoding: str, header: bool | None) -> pa.Table:
    """Read a CSV (its delimiter found out) or Parquet file.

    Args:
        path: the file.
        encoding: of a CSV file.
        header: whether the first row of a CSV file names the columns; None to find out. Columns without a name
            are called by their position, "0", "1", ….

    Raises:
        DataError: the file is empty, not text, or ragged (with the line).
    """
    try:
        parquet = path.name.endswith((".parquet", ".pq"))
        if parquet:
            with byte_stream(path) as stream:
                table = pq.read_table(stream)
        else:
            table = _read_csv(path, encoding, header)
    except (OSError, pa.ArrowInvalid, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    for name, kind in zip(table.column_names, table.schema.types, strict=True):
        if pa.types.is_nested(kind):
            raise DataError(f"{path}: column {name} holds {kind}, expected numbers or text")
    return table


def _read_csv(path: Path, encoding: str, header: bool | None) -> pa.Table:
    with byte_stream(path) as stream:
        head = stream.read(1 << 16)
    if not head.strip():
        raise DataError(f"{path}: the file is empty")
    sample = head.decode(encoding, errors="replace").removeprefix("\ufeff")
    if len(head) == 1 << 16:
        sample = sample[: sample.rfind("\n")]
    first = sample.split("\n", 1)[0]
    delimiter = max(",;\t|", key=first.count)  # the first of them on a draw, a table of one column included
    rows = [row for row in csv.reader(io.StringIO(sample), delimiter=delimiter) if row]
    if header is None:
        header = _has_header(rows)
    names = [name.strip() for name in rows[0]] if header else [str(number) for number in range(len(rows[0]))]
    if any("\ufffd" in name for name in names):
        _lines(path, encoding)  # says which byte is not text
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}:1: two columns are called {twice}")
    try:
        with byte_stream(path) as stream:
            table = pacsv.read_csv(
                stream,
                pacsv.ReadOptions(column_names=names, skip_rows=int(header), encoding=encoding),
                pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                pacsv.ConvertOptions(null_values=MISSING, strings_can_be_null=True),
            )
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise _diagnosis(path, encoding, delimiter, len(names), error) from None
    if any(pa.types.is_binary(kind) for kind in table.schema.types):
        raise _diagnosis(path, encoding, delimiter, len(names), "a column is not text")
    return table


def _diagnosis(path: Path, encoding: str, delimiter: str, width: int, error: object) -> DataError:
    """Read the file again, slowly, to say which line is wrong."""
    reader = csv.reader(_lines(path, encoding), delimiter=delimiter)
    for row in reader:
        if row and len(row) != width:
            where = f"{path}:{reader.line_num}"
            return DataError(f"{where}: expected {width} fields as in the first line, found {len(row)}")
    return DataError(f"{path}: {error}")


def strings(column: pa.ChunkedArray) -> list[str | None]:
    """The column's values as text, without blanks or single quotes around them."""
    text = pc.utf8_trim_whitespace(pc.cast(column, pa.string()))
    return [None if value is None else _unquoted(value) for value in text.to_pylist()]


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] == "'" else value


def numbers(column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The column as float64, NaN where a value is missing; dates in seconds, times of day in microseconds."""
    if pa.types.is_temporal(column.type):
        time, duration = pa.types.is_time(column.type), pa.types.is_duration(column.type)
        unit = pa.time64("us") if time else pa.duration("s") if duration else pa.timestamp("s")
        column = pc.cast(pc.cast(column, unit, safe=False), pa.int64())
    return np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)


class Column:
    """How one column becomes features; plain types only, so that a checkpoint can keep it."""

    MOST_CATEGORIES = 32

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    @classmethod
    def fitted(cls, name: str, column: pa.ChunkedArray, rows: Tensor) -> "Column | None":
        """Learn a column from the rows of the training split; None where it says nothing that generalises."""
        column = column.take(pa.array(rows.numpy()))
        if is_numeric(column):
            values = numbers(column)
            present = values[~np.isnan(values)]
            if len(present) == 0:
                return None
            with np.errstate(invalid="ignore"):  # an infinity; encode() refuses it and knows its row
                mean, std = float(present.mean()), float(present.std())
            state = {"mean": mean, "std": std if std > 0 else 1.0, "missing": len(present) < len(values)}
            return cls({"name": name, "kind": "number", **state})
        texts = strings(column)
        counts: dict[str, int] = {}
        for text in texts:
            counts[text or ""] = counts.get(text or "", 0) + 1
        if len(counts) > max(cls.MOST_CATEGORIES, len(texts) // 2):
            return None  # names, ticket numbers, free text: nearly every row has its own
        seldom = len(texts) / 200  # a category of fewer rows would only be learned by heart
        frequent = [value for value in sorted(counts) if counts[value] >= seldom]
        if not frequent:
            return None
        most = sorted(frequent, key=lambda value: -counts[value])[: cls.MOST_CATEGORIES]
        return cls({"name": name, "kind": "category", "values": sorted(most)})

    @property
    def features(self) -> list[str]:
        """Names of the features that the column becomes."""
        name = self.state["name"]
        if self.state["kind"] == "number":
            return [name, f"{name} missing"] if self.state["missing"] else [name]
        return [f"{name}={value or 'missing'}" for value in self.state["values"]]

    def encode(self, column: pa.ChunkedArray, where: str) -> Tensor:
        """The features of all rows, (N, number of features); a category never seen in training is all zeros."""
        name = self.state["name"]
        if self.state["kind"] == "number":
            if not is_numeric(column):
                raise DataError(f"{where}: column {name} held numbers in training, now it holds {column.type}")
            values = numbers(column)
            if np.isinf(values).any():
                row = int(np.isinf(values).argmax())
                raise DataError(f"{where}: row {row + 1}, column {name}: {values[row]} is not a finite number")
            missing = np.isnan(values)
            scaled = np.where(missing, 0.0, (values - self.state["mean"]) / self.state["std"])
            stacked = np.stack([scaled, missing], axis=1) if self.state["missing"] else scaled[:, None]
            return torch.from_numpy(stacked.astype(np.float32))
        code = {value: number for number, value in enumerate(self.state["values"])}
        codes = torch.tensor([code.get(text or "", len(code)) for text in strings(column)], dtype=torch.long)
        return torch.nn.functional.one_hot(codes, len(code) + 1)[:, :-1].float()


def is_numeric(column: pa.ChunkedArray) -> bool:
    """Whether the column holds numbers, dates or yes and no; one without any value counts."""
    kind = column.type
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_temporal(kind)
        or pa.types.is_null(kind)
    )


def hash_strings(column: pa.ChunkedArray) -> str:
    """A digest of a column as text: the same whatever its chunks, offsets and dictionary are."""
    sizes, letters = xxh3_64(), xxh3_64()
    for chunk in pc.cast(column, pa.large_string()).chunks:
        if len(chunk) == 0:
            continue
        text = chunk.fill_null("")  # anything may stand in memory where a value is missing
        _, offsets, content = text.buffers()
        ends = np.frombuffer(offsets, np.int64)[text.offset : text.offset + len(text) + 1]
        sizes.update(np.where(chunk.is_null().to_numpy(zero_copy_only=False), -1, np.diff(ends)).data)
        if content is not None:
            letters.update(memoryview(content)[int(ends[0]) : int(ends[-1])])
    return f"{sizes.hexdigest()}{letters.hexdigest()}"


def column_digest(column: pa.ChunkedArray) -> str:
    """A digest of the values of a column as they are read."""
    return hash_numbers(numbers(column)) if is_numeric(column) else hash_strings(column)


def column_called(chosen: str | int, table: pa.Table, option: str, where: object) -> str:
    """The name of the column that a name or position means.

    Args:
        chosen: its name, or its position from 0; negative from the end.
        table: that has it.
        option: by which it was chosen, for the message.
        where: what the table was read from, for the message.

    Raises:
        DataError: there is no such column.
    """
    names = table.column_names
    if str(chosen) in names:
        return str(chosen)
    try:
        return str(names[int(chosen)])
    except (ValueError, IndexError):
        raise DataError(f"{option} {chosen}: {where} has no such column; it has {', '.join(names)}") from None


class Tabular(DataModule):
    """Rows of a table, one column of which is to be predicted.

    A batch is `(features, target)`: (B, num_features) float32, and (B,).

    Args:
        dataset: a known data set, or the path of a CSV or Parquet file, or of a folder with train, val and test files.
        target: name or position (from 0; negative from the end) of the column to predict.
        header: whether a CSV file's first row names the columns; found out by default.
        encoding: of a CSV file.
        ignore: names or positions of columns to leave out.
        kwargs: as for DataModule.
    """

    provides: ClassVar[tuple[str, ...]] = ("num_features",)
    learned: ClassVar[tuple[str, ...]] = ("columns", "column_names", "target_name")

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
        """What each feature is."""
        return [feature for state in self.columns for feature in Column(state).features]

    def _embedded_table(self) -> pa.Table:
        from sklearn import datasets  # a second to import, and needed by nobody who brings a file

        bunch = getattr(datasets, f"load_{self.dataset}")()
        columns = dict(zip(bunch.feature_names, bunch.data.T, strict=True))
        names = getattr(bunch, "target_names", None)
        target = bunch.target if names is None else np.asarray(names)[bunch.target].astype(str)
        return pa.table({**columns, "target": target})

    def read(self) -> Source:
        """Read the table and the target; one file, or a folder with a file a split."""
        official: dict[str, Tensor] = {}
        if self.is_embedded:
            self.table = self._embedded_table()
        elif self.path.is_dir():
            files = _split_files(self.path)
            parts = {name: read_table(file, self.encoding, self.header) for name, file in files.items()}
            start = 0
            for name, part in parts.items():
                official[name] = torch.arange(start, start + len(part))
                start += len(part)
                parts[name] = _like(parts["train"], part, files[name])
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
        """A number for each row that only equal rows share."""
        keys = np.zeros(len(self.table), np.uint64)
        for name in self.table.column_names:
            codes = self.table[name].combine_chunks().dictionary_encode().indices.fill_null(-1)
            keys = (keys ^ codes.to_numpy().astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)  # golden-ratio hashing
            keys ^= keys >> np.uint64(29)
        return keys.tolist()

    def contents(self) -> dict[str, str]:
        """Of each column that is used, and of the target."""
        used = {f"column {state['name']}": column_digest(self.table[state["name"]]) for state in self.columns}
        return used | {"target": self.target_digest()}

    @abstractmethod
    def target_digest(self) -> str:
        """A digest of the target of all rows."""

    def fit(self, train: Tensor) -> None:
        """Learn every column's scaling or categories."""
        ignored = {column_called(name, self.table, "--data.ignore", self.dataset) for name in self.ignore}
        ignored.add(self.target_name)
        columns = (
            Column.fitted(name, self.table[name], train) for name in self.table.column_names if name not in ignored
        )
        self.columns = [column.state for column in columns if column is not None]
        if not self.columns:
            raise DataError(f"{self.dataset}: no column to predict {self.target_name} from")
        self._encode(self.table, self.dataset)  # an infinity anywhere is refused now, not in the last epoch

    def _encode(self, table: pa.Table, where: str) -> Tensor:
        for state in self.columns:
            if state["name"] not in table.column_names:
                raise self._lacks(state["name"], table, where)
        return torch.cat([Column(state).encode(table[state["name"]], where) for state in self.columns], dim=1)

    @abstractmethod
    def _targets(self) -> Tensor:
        """Of all rows."""

    def examples(self, index: Tensor) -> Rows:
        """Rows of the encoded table."""
        part = self.table.take(pa.array(index.numpy()))
        return Rows(self._encode(part, self.dataset), self._targets()[index])

    def read_input(self, path: Path) -> tuple[Rows, list[str]]:
        """Rows of a file that may lack the target column."""
        table = read_table(path, self.encoding, self.header)
        inputs = [name for name in self.column_names if name != self.target_name]
        if all(name.isdecimal() for name in inputs) and table.num_columns == len(inputs):
            table = table.rename_columns(inputs)  # they are called by their position, and that of the target is free
        return Rows(self._encode(table, str(path))), [str(number + 1) for number in range(len(table))]


def _like(train: pa.Table, part: pa.Table, file: Path) -> pa.Table:
    """A split's table with the columns of the training split; what is text there is text here."""
    if part.column_names != train.column_names:
        columns, expected = ", ".join(part.column_names), ", ".join(train.column_names)
        raise DataError(f"{file}: its columns are {columns}; those of the training file are {expected}")
    for number, name in enumerate(train.column_names):
        if not is_numeric(train[name]):
            part = part.set_column(number, name, pc.cast(part[name], pa.string()))
        elif not is_numeric(part[name]):
            raise DataError(f"{file}: column {name} holds text; in the training file it holds numbers")
    return part


def _split_files(folder: Path) -> dict[str, Path]:
    """The files of a folder that are called train, val and test."""
    files = {
        name: file
        for name in SPLITS
        for file in sorted(folder.iterdir())
        if file.name.startswith(f"{name}.") and file.name.endswith(TABLE_FILES)
    }
    if "train" not in files:
        raise DataError(f"{folder}: expected train.csv (and val.csv, test.csv) or Parquet files in the folder")
    return files


class TabularClassification(Tabular, LabelledData):
    """Rows of a table that each belong to a class.

    Provides num_features, num_classes, class_names and class_counts.
    """

    embedded: ClassVar[tuple[str, ...]] = ("breast_cancer", "wine", "iris")
    provides: ClassVar[tuple[str, ...]] = (*Tabular.provides, *LabelledData.provides)
    learned: ClassVar[tuple[str, ...]] = (*Tabular.learned, *LabelledData.learned)

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
        """Of the names of the classes."""
        return self.label_digest

    def _targets(self) -> Tensor:
        return self.labels


class TabularRegression(Tabular):
    """Rows of a table with a number to predict.

    Provides num_features, and the target's mean and standard deviation in the training split.
    """

    embedded: ClassVar[tuple[str, ...]] = ("diabetes",)
    provides: ClassVar[tuple[str, ...]] = (*Tabular.provides, "target_mean", "target_std")
    learned: ClassVar[tuple[str, ...]] = (*Tabular.learned, "target_mean", "target_std")
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
            for number, text in enumerate(texts):
                if not _is_number(text):
                    raise DataError(
                        f"{self.dataset}: row {number + 1}: the target {self.target_name} is {text}, expected a number "
                        f"(--data.target chooses another column; --model mlp predicts classes)"
                    )
            values = np.asarray(texts, dtype=np.float64)
        if not np.isfinite(values).all():
            row = int((~np.isfinite(values)).argmax())
            raise DataError(f"{self.dataset}: row {row + 1}: the target {self.target_name} is {values[row]}")
        self.values = torch.from_numpy(values.astype(np.float32))

    def target_digest(self) -> str:
        """Of the numbers."""
        return hash_numbers(self.values)

    def fit(self, train: Tensor) -> None:
        """Learn, besides, the target's mean and spread."""
        super().fit(train)
        self.target_mean = float(self.values[train].double().mean())
        self.target_std = float(self.values[train].double().std(correction=0))
        if self.target_std == 0 or not math.isfinite(self.target_std):
            raise DataError(f"{self.dataset}: the target {self.target_name} is always {self.target_mean:g}")

    def _targets(self) -> Tensor:
        return self.values
