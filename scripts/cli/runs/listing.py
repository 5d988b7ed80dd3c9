"""The runs as a table, and as what programs read."""

import sys
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from datamodules.files.paths import printable
from scripts.cli.runs.formats import duration, moment, print_csv, print_json, print_table, score, setting, settings_text
from scripts.cli.runs.recorded_run import RecordedRun
from scripts.cli.runs.selection import COLUMNS, ordered, value_of

FIRST = ("run", "model", "data", "status")  # columns, which are texts
MAX_METRICS = 4  # columns of test scores
MAX_NOTES = 20


def show(runs: Sequence[RecordedRun], sort: str | None, form: str) -> None:
    """Print runs, the newest last, or in the order of a column.

    Args:
        runs: to print.
        sort: name of the column, with a minus sign before it for the largest first.
        form: `table`, `csv` or `json`.

    Raises:
        UsageError: no run has such a column.
    """
    runs = ordered(runs, sort or "when")
    records = [record(run) for run in runs]
    if form == "json":
        print_json(records)
    elif form == "csv":
        print_csv(*flattened(records))
    elif not runs:
        print("no runs")
    else:
        rows = table(runs, (sort or "").removeprefix("-"))
        scores = [f"test/{name}" for name in reversed(metric_columns(runs))]
        expendable = [name for name in (*scores[:-1], "time", "model", "when", "data", *scores[-1:]) if name != sort]
        print_table(rows, left=[*FIRST, rows[0][-1]], expendable=expendable)
    print_notes(runs)


def record(run: RecordedRun) -> dict[str, Any]:
    """What is known of a run; the best value is that of the monitored metric."""
    when = None if run.when is None else datetime.fromtimestamp(run.when).astimezone()
    return {
        "run": run.name,
        "path": str(run.folder),
        "model": run.model,
        "data": run.data,
        "status": run.status,
        "monitor": run.monitor or None,
        "best": run.best,
        "seconds": run.seconds,
        "when": when and when.isoformat(timespec="seconds"),
        "test": run.test,
        "settings": run.settings,
        "notes": run.notes,
    }


def flattened(records: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of one value a column, and the columns: each test score has one, and all settings that differ have one."""
    names = ("run", "path", "model", "data", "status", "monitor", "best", "seconds", "when")
    metrics = sorted({f"test/{name}" for each in records for name in each["test"]})
    rows = [
        {name: each[name] for name in names}
        | {f"test/{name}": value for name, value in each["test"].items()}
        | {"settings": settings_text(each["settings"]), "notes": "; ".join(each["notes"])}
        for each in records
    ]
    return rows, [*names, *metrics, "settings", "notes"]


def table(runs: Sequence[RecordedRun], sort: str) -> list[list[str]]:
    """The cells of the table, the header first.

    Args:
        runs: one at least, a row each.
        sort: what they are sorted by, which has a column in any case.
    """
    monitors = {run.monitor for run in runs if run.best is not None}
    shared = monitors.pop() if len(monitors) == 1 else ""
    metrics = metric_columns(runs)
    further = [sort] if sort and sort not in (*COLUMNS, *metrics, shared, *(f"test/{name}" for name in metrics)) else []
    header = [*FIRST, shared or "best", *(f"test/{name}" for name in metrics), *further, "time", "when", "settings"]
    rows = [header]
    for run in runs:
        best = score(run.best) if shared or run.best is None else f"{run.monitor} {score(run.best)}"
        rows.append(
            [
                *(run.name, run.model, run.data_shown, run.status, best),
                *(score(run.test.get(name)) for name in metrics),
                *(_cell(value_of(run, name)) for name in further),
                *(duration(run.seconds), moment(run.when), settings_text(run.settings)),
            ]
        )
    return rows


def metric_columns(runs: Sequence[RecordedRun]) -> list[str]:
    """The test scores that have a column: one at least of each run, and then those that most runs have."""
    counts = Counter(name for run in runs for name in run.test)
    by_count = sorted(counts, key=lambda name: (name == "loss", -counts[name]))
    main = {name for run in runs for name in main_metric(run)}
    return sorted(
        [*main, *[name for name in by_count if name not in main][: max(MAX_METRICS - len(main), 0)]], key=by_count.index
    )


def main_metric(run: RecordedRun) -> list[str]:
    """The test score that a run is judged by: the monitored one, or the first but the loss; none where it has none."""
    monitored = run.monitor.rpartition("/")[2]
    names = [name for name in (monitored, *run.test) if name in run.test and name != "loss"]
    return names[:1] or [*run.test][:1]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return score(value) if isinstance(value, float) else setting(value)


def print_notes(runs: Sequence[RecordedRun]) -> None:
    """Say what of the runs cannot be read."""
    notes = [f"{run.name}: {note}" for run in runs for note in dict.fromkeys(run.notes)]
    for note in notes[:MAX_NOTES]:
        print(f"note: {printable(note)}", file=sys.stderr)
    if len(notes) > MAX_NOTES:
        print(f"note: and {len(notes) - MAX_NOTES} more; --format json has them all", file=sys.stderr)
