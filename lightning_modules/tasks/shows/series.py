"""What a test shows of forecasts: typical and worst windows, a long part of the test split, errors by step ahead."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lightning_modules.tasks.boards import escape, table
from lightning_modules.tasks.pictures.series import Window, error_by_step, forecasts, strip
from lightning_modules.tasks.results.outcomes import LOSS, Outcomes

if TYPE_CHECKING:
    from lightning_modules.tasks.forecaster import Forecaster
    from lightning_modules.tasks.task import Board

SHOWN = 3  # typical windows, and as many of the worst
STRIP = 1000  # successive windows of a strip; more would be a black band
MAX_WINDOWS = 5000  # on which the baselines' errors by step are computed
CHUNK = 1000  # windows at once


def show_windows(task: Forecaster, board: Board, outcomes: Outcomes) -> None:
    """Typical windows beside the worst ones, with the dates of each, and a long part of the test split."""
    data = outcomes.data
    if data is None:
        return  # they cannot be read again
    board.figure("forecasts", forecasts(_typical_and_worst(task, outcomes), data.target_unit))
    series = data.series_of(data.splits.test[outcomes.positions])
    longest, _ = Counter(series).most_common(1)[0]
    rows = torch.tensor([row for row, name in enumerate(series) if name == longest])
    part = outcomes.take(rows[-STRIP:])
    dates = data.dates_of(data.splits.test[part.positions])
    horizon = part["target"].shape[1]
    title = f"{longest} test split" if len(rows) <= STRIP else f"{longest} the last {STRIP:,} windows of {len(rows):,}"
    times = None if dates is None else dates[:, -horizon:]
    board.figure("strip", strip(part["target"], part["prediction"], times, data.target_unit, title.strip()))


def _typical_and_worst(task: Forecaster, outcomes: Outcomes) -> list[list[Window]]:
    """Rows of a typical window and a bad one each: of median errors, and the worst that do not overlap."""
    worst_first = outcomes.worst()
    half, horizon = len(worst_first) // 2, outcomes["target"].shape[1]
    near = worst_first[max(half - SHOWN // 2, 0) :][:SHOWN].tolist()
    worst: list[int] = []
    for row in worst_first.tolist():
        if all(abs(row - other) >= horizon for other in worst):
            worst.append(row)
        if len(worst) == SHOWN:
            break
    columns = [_windows(task, outcomes, rows, what) for rows, what in ((near, "typical"), (worst, "worst"))]
    return [[column[row] for column in columns if row < len(column)] for row in range(max(map(len, columns)))]


def _windows(task: Forecaster, outcomes: Outcomes, rows: list[int], what: str) -> list[Window]:
    part, data = outcomes.take(torch.tensor(rows)), outcomes.data
    assert data is not None
    inputs, _ = part.batch(task.device)
    past = task.in_units(inputs[..., 0]).cpu()
    dates = data.dates_of(data.splits.test[part.positions])
    names, errors = part.names(), part[LOSS].tolist()
    return [
        Window(
            past[row],
            part["target"][row],
            part["prediction"][row],
            f"{what}, from {names[row]}: mean absolute error {errors[row]:.4g}",
            None if dates is None else dates[row],
        )
        for row in range(len(rows))
    ]


def show_errors(task: Forecaster, board: Board, outcomes: Outcomes | None) -> None:
    """The mean absolute error of each step ahead, beside those of the baselines."""
    ((name, found),) = task.tables.items()
    errors = {"model": found.flatten().tolist()}
    unit = ""
    if outcomes is not None and outcomes.data is not None:
        errors |= _errors_of_baselines(task, outcomes)
        unit = outcomes.data.target_unit
    rows: list[list[Any]] = [[step, *each] for step, each in enumerate(zip(*errors.values(), strict=True), start=1)]
    header = ["mean absolute error", *map(escape, list(errors)[1:])] if len(errors) > 1 else ["mean absolute error"]
    board.text(name, table(["step ahead", *header], rows, number_format=".4g"))
    board.figure(name, error_by_step(errors, unit))


def _errors_of_baselines(task: Forecaster, outcomes: Outcomes) -> dict[str, list[float]]:
    """Of each baseline by its name; of a large test split, on windows evenly spaced in it."""
    rows = torch.linspace(0, len(outcomes) - 1, min(len(outcomes), MAX_WINDOWS)).round().long()
    sums: dict[str, Tensor] = {}
    for chunk in rows.split(CHUNK):
        batch = outcomes.take(chunk).batch(task.device)
        for prefix, baseline in task.baselines().items():
            error = (baseline(batch) - batch[1]).abs().sum(0).cpu().double()  # Apple GPUs know no float64
            name = prefix.strip("_").replace("_", " ") or "last value"
            sums[name] = sums.get(name, 0) + error
    return {name: (total / len(rows)).tolist() for name, total in sums.items()}
