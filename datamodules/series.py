"""Time series: one array, split by time, whose windows are views of it."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from datamodules.base import DataModule
from datamodules.baselines.autoregression import Autoregression
from datamodules.baselines.baseline import Baseline
from datamodules.checking.facts import column_fact
from datamodules.export.exportable import ExportableModule
from datamodules.files.encoding import known_encoding
from datamodules.files.number_columns import stated_decimal
from datamodules.files.table_columns import column_called, is_numeric, numbers
from datamodules.files.tables import Reading, read_table
from datamodules.files.time_axis import FILLS, Fill, TimeOptions, date_texts, in_order, regular
from datamodules.files.written_numbers import Decimal
from datamodules.loading.examples import Source
from datamodules.loading.sampling import Splits
from datamodules.storage.catalogue import SERIES, Remotes
from datamodules.storage.download import DataError
from datamodules.storage.fingerprint import hash_numbers

SUNSPOTS = Path(__file__).parent / "sunspots.csv"  # Zurich, a mean a month from 1749 to 1983
STEPS_A_DAY = {"ETTh1": 24, "ETTh2": 24, "ETTm1": 96, "ETTm2": 96}
PERIODS = {"sunspots": 132} | STEPS_A_DAY  # eleven years of months; a day
ETT_MONTHS = (12, 4, 4)  # of 30 days for training, validation and test, as in Zhou et al. 2021; the rest is unused


class Windows(Dataset[Any]):
    """Windows of a series: a batch is one indexing operation on a view of it.

    Args:
        series: (N, 1 + C), the target in its own units, and the channels as the model reads them.
        window: W, rows that the model reads.
        horizon: H, rows after them whose target is forecast; 0 for predictions, and then a batch is the inputs alone.
        starts: (M,) indices of the first rows of this split's windows.

    Shapes:
        inputs (B, W, C), target (B, H)
    """

    def __init__(self, series: Tensor, window: int, horizon: int, starts: Tensor) -> None:
        self.windows = series.unfold(0, window + horizon, 1)  # (N - W - H + 1, 1 + C, W + H), without a copy
        self.window = window
        self.starts = starts

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: Tensor) -> Any:
        windows = self.windows[self.starts[index]]  # (B, 1 + C, W + H)
        inputs = windows[:, 1:, : self.window].transpose(1, 2).contiguous()  # (B, W, C)
        target = windows[:, 0, self.window :].contiguous()
        return (inputs, target) if target.shape[1] else inputs


class ExportableWindows(ExportableModule):
    """Reads windows of a series in its own units, (B, W, C), the target first, and scales them."""

    reads = "series"
    data: "Series"
    output = "forecast"

    def __init__(self, model: nn.Module, data: "Series") -> None:
        super().__init__(model, data)
        self.inputs = {"window": ("batch", data.window, data.num_features)}
        self.means = torch.tensor(data.means, dtype=torch.float64)
        self.stds = torch.tensor(data.stds, dtype=torch.float64)

    def preprocessing(self) -> dict[str, Any]:
        """The columns of a window, in their own units; they are standardised by the network itself."""
        data = self.data
        sizes = {"window": data.window, "horizon": data.horizon}
        return {"columns": data.columns, "series": data.series, **sizes, "decimal": data._reading.decimal or "."}

    def tensors(self, batch: Any) -> tuple[Tensor, ...]:
        """The rows of the windows as they were read."""
        rows = self.data.starts[self.data.splits.test[: len(batch)], None] + torch.arange(self.data.window)
        return (self.data.values[rows],)

    def forward(self, window: Tensor) -> Tensor:  # type: ignore[override]
        """The next values (B, H), in the target's units."""
        return self.network.in_units(self.network(((window - self.means) / self.stds).float()))

    def expected(self, batch: Any) -> Tensor:
        """The forecast of the model, in the same units."""
        return self.network.in_units(super().expected(batch))


class Series(DataModule):
    """A series of which the next values of one column are forecast, split by time and not at random.

    A batch is `(inputs, target)`: (B, window, num_features) float32, the target's past first and then the covariates',
    all standardised by the training part; and (B, horizon), the target's next values in its own units.
    A window of the validation or test part may reach back into the part before it, never forward. Provides
    num_features, horizon, season, target_mean and target_std.

    Your own file is a CSV or Parquet file with a row a time step, of one series or of several, none of whose windows
    reaches into another. Rows are sorted by their dates or times. For predictions give one with at least `window` rows;
    the `horizon` values after the last row of each series are forecast.

    Args:
        dataset: a known data set, or the path of a CSV or Parquet file.
        target: name or index (from 0; negative from the end) of the column to forecast.
        covariates: names or indices of further columns whose past the model reads.
        window: number of time steps that the model reads.
        horizon: number of time steps that it forecasts.
        season: period of the series in time steps, for the seasonal baseline; that of the known data sets by default,
            and none for your own.
        header: whether a CSV file's first row names the columns; detected by default.
        encoding: of a CSV file.
        series: name of the column that tells several series in one file apart; found by default.
        fill: what missing rows and values are filled with: the `previous` value, or `linear`, those between their
            neighbours; by default none are, and missing values are refused.
        day_first: whether a date such as 02/03/2021 is in March; decided from all dates by default.
        decimal: the decimal sign, "." or ","; decided from the numbers by default.
        kwargs: as for DataModule.

    Raises:
        ValueError: a value is out of its range, or folds are requested.
    """

    embedded: ClassVar[tuple[str, ...]] = ("sunspots",)
    of_own: ClassVar[tuple[str, ...]] = ("header", "encoding", "series", "fill", "day_first", "decimal")
    published: ClassVar[Remotes] = SERIES
    provides: ClassVar[tuple[str, ...]] = ("num_features", "horizon", "season", "target_mean", "target_std")
    fitted: ClassVar[tuple[str, ...]] = ("columns", "means", "stds", "season", "series", "decimal_found")
    typed: ClassVar[tuple[str, str]] = ".csv", ".jsonl"
    added: ClassVar[dict[str, Any]] = {"series": None, "decimal_found": None}

    def __init__(
        self,
        dataset: str = "sunspots",
        target: str | int = -1,
        covariates: list[str | int] | None = None,
        window: int = 96,
        horizon: int = 24,
        season: int | None = None,
        header: bool | None = None,
        encoding: str = "utf-8",
        series: str | None = None,
        fill: Fill = "none",
        day_first: bool | None = None,
        decimal: Decimal | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dataset=dataset, **kwargs)
        if fill not in FILLS:
            raise ValueError(f"--data.fill: expected one of {', '.join(FILLS)}, got {fill}")
        for name, steps in (("window", window), ("horizon", horizon)):
            if steps < 1:
                raise ValueError(f"--data.{name}: expected at least 1 time step, got {steps}")
        if season is not None and not 1 <= season <= window:
            raise ValueError(f"--data.season {season}: expected 1 to {window}, the time steps of --data.window")
        if self.num_folds is not None:
            raise ValueError("--data.num_folds: a series is split by time; folds would train on the future")
        self.target = target
        self.covariates = covariates or []
        self.window = window
        self.horizon = horizon
        self.season = season
        self.header = header
        self.encoding = known_encoding(encoding)
        self.series = series
        self.fill: Fill = fill
        self.day_first = day_first
        self.decimal = decimal
        self.decimal_found: Decimal | None = None
        self.columns: list[str] = []
        self.means: list[float] = []
        self.stds: list[float] = []
        self.values: Tensor  # of all series, one after the other
        self.lengths: list[int] = []  # of each series
        self.names: list[str] = []  # of each series
        self.dates: np.ndarray[Any, Any] | None = None  # of all rows, datetime64
        self.starts: Tensor  # the first row of each window

    @property
    def num_features(self) -> int:
        """C, the number of columns: the target and the covariates."""
        return len(self.columns)

    @property
    def target_mean(self) -> float:
        """Of the training part, in the target's units."""
        return self.means[0]

    @property
    def target_std(self) -> float:
        """Of the training part, in the target's units."""
        return self.stds[0]

    @property
    def target_unit(self) -> str:
        """The target's column, whose own it is."""
        return self.columns[0] if self.columns else ""

    def read(self) -> Source:
        """Read the columns; an example is a window with the values to forecast after it."""
        table = read_table(self._file(), self._reading)
        if not self.restored:
            self.decimal_found = stated_decimal(table)
            columns = [column_called(self.target, table, "--data.target", self.dataset)]
            columns += [column_called(name, table, "--data.covariates", self.dataset) for name in self.covariates]
            self.columns = list(dict.fromkeys(columns))
            if self.series is not None:
                self.series = column_called(self.series, table, "--data.series", self.dataset)
        self.values, self.lengths, self.names, self.dates = self._values_of(table, self.dataset)
        self.starts = self._all_starts(self.window + self.horizon)
        if len(self.starts) == 0:
            raise self._too_short(self.dataset, max(self.lengths), self.window + self.horizon)
        official = {}
        if self.dataset in STEPS_A_DAY:
            ends = np.cumsum([30 * STEPS_A_DAY[self.dataset] * months for months in ETT_MONTHS]).tolist()
            if len(self.values) < ends[-1]:
                raise DataError(f"{self.dataset}: has {len(self.values)} rows, expected at least {ends[-1]}")
            official = self._starts(ends)._asdict()
        return Source(len(self.starts), official=official)

    def _all_starts(self, rows: int) -> Tensor:
        """The first rows of all windows of so many rows, none of which reaches into another series."""
        first = np.cumsum([0, *self.lengths[:-1]]).tolist()
        parts = [
            torch.arange(begin, begin + max(0, length - rows + 1))
            for begin, length in zip(first, self.lengths, strict=True)
        ]
        short = sum(len(part) == 0 for part in parts)
        if 0 < short < len(parts):
            self.note(f"{self.dataset}: left out {short} of {len(parts)} series, which have less than {rows} rows")
        return torch.cat(parts)

    @property
    def _reading(self) -> Reading:
        named = self.columns if self.restored else [self.target, *self.covariates]
        fitted = self.restored or bool(self.means)
        decimal = self.decimal or self.decimal_found
        return Reading(self.encoding, self.header, named, decimal=decimal, fitted=fitted, note=self.note)

    def _file(self) -> Path:
        if self.is_embedded:
            return SUNSPOTS
        if self.is_published:
            name = f"{self.dataset}.csv"
            return self.folder_of([name], "timeseries") / name
        if self.path.is_dir():
            raise DataError(f"{self.dataset}: is a folder; expected a CSV or Parquet file with a row a time step")
        return self.path

    def _values_of(
        self, table: pa.Table, where: str
    ) -> tuple[Tensor, list[int], list[str], np.ndarray[Any, Any] | None]:
        """The target and the covariates of all series in the order of time, (N, C) float64; lengths, names and dates.

        The lengths and the names are those of the series, the dates (N,) those of the rows, if there are dates.
        """
        if len(table) == 0:
            raise DataError(f"{where}: a header and no rows")
        for name in [*self.columns, *([self.series] if self.series else [])]:
            if name not in table.column_names:
                raise DataError(f"{where}: no column {name}; it has {', '.join(table.column_names)}")
        ordered = in_order(table, TimeOptions(self.series, self.fill, self.day_first, self.columns), where, self.note)
        if not self.restored:
            self.series = ordered.column or None
        columns = []
        for name in self.columns:
            if not is_numeric(table[name]):
                raise DataError(f"{where}: column {name} holds {table[name].type}, expected numbers")
            values = numbers(table[name])
            usable = ~np.isinf(values) if self.fill != "none" else np.isfinite(values)
            if not usable.all():
                row = int((~usable).argmax())
                missing = f"missing; --data.fill {' or '.join(FILLS[1:])} fills it in"
                found = missing if np.isnan(values[row]) else f"{values[row]}, not a finite number"
                raise DataError(f"{where}: row {row + 1}, column {name}: the value is {found}")
            columns.append(values[ordered.rows])
        values, lengths, dates = regular(np.stack(columns, axis=1), ordered, self.fill, where, self.note)
        return torch.from_numpy(values), lengths, ordered.names, dates

    def _too_short(self, where: str, found: int, expected: int) -> DataError:
        return DataError(
            f"{where}: has {found} rows, expected at least {expected}: --data.window {self.window} "
            f"and --data.horizon {self.horizon}"
        )

    def _starts(self, ends: list[int]) -> Splits:
        """First rows of the windows whose targets are completely in the part that ends at each of these rows."""
        train, val, test = ends
        first = [0, train - self.window, val - self.window]
        return Splits(
            *(
                torch.arange(max(begin, 0), max(end - self.window - self.horizon + 1, begin, 0))
                for begin, end in zip(first, (train, val, test), strict=True)
            )
        )

    def split(self, source: Source) -> Splits:
        """The official parts, or the last rows of each series for testing and those before them for validation."""
        self.causes = dict.fromkeys(Splits._fields, "as published" if source.official else "windows, by time")
        if source.official:
            return Splits(**source.official)
        parts, windows = [], 0
        for length in self.lengths:
            test, val = round(length * self.test_fraction), round(length * self.val_fraction)
            if length >= self.window + self.horizon:
                parts.append([part + windows for part in self._starts([length - test - val, length - test, length])])
                windows += length - self.window - self.horizon + 1
        return Splits(*(torch.cat(of_series) for of_series in zip(*parts, strict=True)))

    def check(self, source: Source, splits: Splits) -> None:
        """Refuse a part without a single window."""
        for name, starts in splits._asdict().items():
            if len(starts) == 0:
                raise DataError(
                    f"{self.dataset}: its {len(self.values)} rows are too few: the {name} part has no window "
                    f"with --data.window {self.window} and --data.horizon {self.horizon}"
                )

    def facts(self) -> list[tuple[str, str]]:
        """The target and the covariates, and how many rows and series there are."""
        facts = [("rows", f"{len(self.values):,} in {len(self.lengths):,} series")]
        for index, name in enumerate(self.columns):
            facts.append(
                (name, column_fact(pa.chunked_array([self.values[:, index].numpy()]), "" if index else "target"))
            )
        return [*facts, ("examples", f"{self.window} rows, from which the next {self.horizon} are forecast")]

    def shown(self, row: int) -> tuple[str, str]:
        """A window of the target, and what comes after it."""
        start = int(self.starts[row])
        inside = self.values[start : start + self.window + self.horizon, 0].tolist()
        cells = [f"{value:g}" for value in inside]
        before, after = cells[: self.window], cells[self.window :]
        shown = [*before[:4], "…", *before[-4:]] if len(before) > 9 else before
        return ", ".join(shown), ", ".join([*after[:4], *["…"] * (len(after) > 4)])

    def dependent_examples(self) -> int:
        """A window and the values after it."""
        return self.window + self.horizon

    def series_of(self, rows: Tensor) -> list[str]:
        """The name of the series that each window is cut from."""
        of_series = torch.bucketize(self.starts[rows], torch.tensor(self.lengths).cumsum(0), right=True)
        return [self.names[index] for index in of_series.tolist()]

    def dates_of(self, rows: Tensor) -> np.ndarray[Any, Any] | None:
        """The dates of each window's rows and of the values to forecast, (B, W + H)."""
        if self.dates is None:
            return None
        return self.dates[self.starts[rows].numpy()[:, None] + np.arange(self.window + self.horizon)]

    def origin(self, row: int) -> str:
        """The series, and the date of the first value to forecast, or else which of its time steps that is."""
        return self.origins(torch.tensor([row]))[0]

    def origins(self, rows: Tensor) -> list[str]:
        """The same of some windows."""
        first, series = self.starts[rows] + self.window, self.series_of(rows)
        if self.dates is not None:
            steps = date_texts(self.dates[first.numpy()], self.dates)
        else:
            ends = torch.tensor(self.lengths).cumsum(0)
            begins = torch.cat([torch.zeros(1, dtype=torch.long), ends[:-1]])
            within = first - begins[torch.bucketize(self.starts[rows], ends, right=True)] + 1
            steps = [f"time step {step}" for step in within.tolist()]
        return [f"{name} {step}".lstrip() for name, step in zip(series, steps, strict=True)]

    def contents(self) -> dict[str, str]:
        """Digests of the target and of each covariate."""
        return {f"column {name}": hash_numbers(self.values[:, index]) for index, name in enumerate(self.columns)}

    def fit(self, train: Tensor) -> None:
        """Fit each column's mean and standard deviation to the rows of the training part."""
        rows = self.values[self._rows_of(self.starts[train])]
        self.means = rows.mean(0).tolist()
        self.stds = rows.std(0, correction=0).tolist()
        if self.stds[0] == 0:
            raise DataError(
                f"{self.dataset}: column {self.columns[0]} is always {self.means[0]:g} in the training part"
            )
        self.stds = [std or 1.0 for std in self.stds]
        period = PERIODS.get(self.dataset)
        if self.season is None and period is not None and period <= self.window:
            self.season = period

    def _rows_of(self, starts: Tensor) -> Tensor:
        """The rows of windows with the values after them."""
        size = self.window + self.horizon
        inside = torch.zeros(len(self.values) + 1, dtype=torch.long)
        inside.index_add_(0, starts, torch.ones_like(starts))
        inside.index_add_(0, starts + size, -torch.ones_like(starts))
        return inside.cumsum(0)[:-1].nonzero().flatten()

    def _series(self, values: Tensor) -> Tensor:
        """(N, 1 + C): the target in its own units, and all columns standardised."""
        scaled = (values - torch.tensor(self.means, dtype=torch.float64)) / torch.tensor(self.stds, dtype=torch.float64)
        return torch.cat([values[:, :1], scaled], dim=1).float()

    def examples(self, index: Tensor) -> Windows:
        """Windows with the values after them."""
        return Windows(self._series(self.values), self.window, self.horizon, self.starts[index])

    def read_input(self, path: Path) -> tuple[Windows, list[str]]:
        """The last window of each series of a file; its forecast is a row for each time step ahead."""
        if path.is_dir():
            raise DataError(f"--input {path}: is a folder; expected a CSV or Parquet file")
        values, lengths, names, _ = self._values_of(read_table(path, self._reading), str(path))
        if min(lengths) < self.window:
            raise DataError(f"{path}: has {min(lengths)} rows, expected at least --data.window {self.window}")
        last = torch.tensor(lengths).cumsum(0) - self.window
        steps = [
            f"{name} {length + step}".lstrip()
            for name, length in zip(names, lengths, strict=True)
            for step in range(1, self.horizon + 1)
        ]
        return Windows(self._series(values), self.window, 0, last), steps

    def baselines(self) -> dict[str, Baseline]:
        """A linear autoregression."""
        return {"linear": Autoregression(self.window, self.num_features, self.target_mean, self.target_std)}

    def export_inputs(self, model: nn.Module) -> ExportableModule:
        """A trained model that reads windows."""
        return ExportableWindows(model, self)
