"""The comparison of runs as texts of a terminal, and as what programs read."""

from collections.abc import Iterator
from typing import Any

from datamodules.checking.text_table import shortened
from scripts.cli.runs.comparison import Comparison, Rows, Score
from scripts.cli.runs.formats import score
from scripts.cli.runs.significance import Difference
from scripts.cli.text_table import aligned

WIDEST = 44  # columns of a cell

SAME_SETTINGS = "no setting differs"
OF_TESTS = "against A, on the same test examples"


def corrected(comparison: Comparison) -> str:
    """How the p are corrected; empty where no more than one run is tested against the first."""
    count = sum(not tests.refusal for tests in comparison.tests)
    return f"p is corrected by Holm's method for up to {count} comparisons of each score" if count > 1 else ""


def shown(value: Score) -> str:
    """A score with its interval."""
    text = score(value.value)
    return f"{text} [{score(value.interval[0])}, {score(value.interval[1])}]" if value.interval and text else text


def told(tested: Difference) -> list[str]:
    """The cells about a difference: score, difference with its interval, p, how it is known."""
    low, high = tested.interval
    left_out = f"; {tested.left_out:,} without a score left out" if tested.left_out else ""
    p = f"{tested.p:.3f}" if tested.p >= 0.001 else f"{tested.p:.1e}"
    change = f"{tested.second - tested.first:+.4g} [{low:+.4g}, {high:+.4g}]"
    return [tested.score, change, f"p = {p}", f"{tested.method}, {tested.examples:,} examples{left_out}"]


def text_of(comparison: Comparison) -> str:
    """All of it but the curves."""
    return "\n\n".join(_parts(comparison))


def _parts(comparison: Comparison) -> Iterator[str]:
    yield _table("", comparison.facts, comparison)
    if comparison.is_one_run:
        yield "one run is compared with itself"
    if comparison.settings:
        yield _table("settings that differ", comparison.settings, comparison)
    else:
        yield SAME_SETTINGS
    yield _table("code", comparison.code, comparison)
    yield _table("data", comparison.data, comparison)
    if comparison.scores:
        rows = {name: [*map(shown, scores)] for name, scores in comparison.scores.items()}
        yield _table("test scores, 95 % intervals", rows, comparison)
    lines = []
    for label, tests in zip(comparison.labels[1:], comparison.tests, strict=True):
        if tests.refusal:
            lines.append([label, f"not tested: {tests.refusal}", "", "", "", ""])
        lines += [
            [label, each.score, change, p, comparison.better(each), method]
            for each in tests.differences
            for _, change, p, method in [told(each)]
        ]
    notes = corrected(comparison)
    yield f"{OF_TESTS}\n{_lines(lines)}" + (f"\n{notes}" if notes else "")


def _lines(lines: list[list[str]]) -> str:
    """The lines of the tests, in columns; those that say why there is none are as long as they are."""
    tested = [line for line in lines if line[2]]
    found = iter(aligned(tested, left=[0, 1, 2, 3, 4, 5]).splitlines() if tested else [])
    return "\n".join(next(found) if line[2] else f"{line[0]}  {line[1]}" for line in lines)


def _table(title: str, rows: Rows, comparison: Comparison) -> str:
    cells = [[name, *(shortened(value, WIDEST) for value in values)] for name, values in rows.items()]
    return aligned([[title, *comparison.labels], *cells], left=range(len(comparison.labels) + 1))


def content_of(comparison: Comparison) -> dict[str, Any]:
    """All of it but the curves, for programs."""
    return {
        "runs": [str(run.folder) for run in comparison.runs],
        "settings": comparison.settings,
        "code": comparison.code,
        "data": comparison.data,
        "scores": {name: [each._asdict() for each in scores] for name, scores in comparison.scores.items()},
        "tests": [
            {
                "run": str(run.folder),
                "refusal": tests.refusal or None,
                "differences": [each._asdict() | {"verdict": comparison.better(each)} for each in tests.differences],
            }
            for run, tests in zip(comparison.runs[1:], comparison.tests, strict=True)
        ],
        "correction": corrected(comparison) or None,
    }
