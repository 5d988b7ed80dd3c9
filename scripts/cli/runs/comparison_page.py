"""The comparison of runs as one page that needs no network and no other file."""

from collections.abc import Iterator, Sequence
from html import escape

from datamodules.files.paths import printable
from scripts.cli.runs.comparison import Comparison, Rows
from scripts.cli.runs.comparison_text import OF_TESTS, SAME_SETTINGS, corrected, shown, told
from scripts.cli.runs.curves import Curve
from scripts.cli.runs.line_chart import Line, colour_of, line_chart

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1100px; padding: 0 1rem; color: #222 }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
td, th { border-bottom: 1px solid #ddd; padding: .25rem .75rem; text-align: left; vertical-align: top;
  overflow-wrap: break-word }
.wide { overflow-x: auto }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(420px, 1fr)); gap: 1rem }
figure { margin: 0; break-inside: avoid } figcaption { font-weight: 600 }
th { white-space: nowrap }
svg text { font: 12px system-ui, sans-serif; fill: #444 }
svg .grid { stroke: #e4e4e4 } svg polyline { fill: none; stroke-width: 2 }
.key { display: inline-block; width: 1.6em; height: .3em; margin-right: .4em; vertical-align: middle }
@media print { body { margin: 0; max-width: none } }
"""


def page_of(comparison: Comparison) -> str:
    """The page."""
    return "\n".join(_parts(comparison))


def _parts(comparison: Comparison) -> Iterator[str]:
    title = f"Comparison of {len(comparison.runs)} runs"
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>"
    yield _table(comparison.facts, comparison)
    yield "<h2>Test scores, 95 % intervals</h2>"
    scores = {name: [*map(shown, each)] for name, each in comparison.scores.items()}
    yield _table(scores, comparison) if scores else "<p>no run was tested</p>"
    yield f"<h2>Is the difference more than chance? {OF_TESTS[0].upper()}{OF_TESTS[1:]}</h2>"
    yield _tests(comparison)
    yield "<h2>Settings that differ</h2>"
    yield _table(comparison.settings, comparison) if comparison.settings else f"<p>{SAME_SETTINGS}</p>"
    yield "<h2>Code</h2>"
    yield _table(comparison.code, comparison)
    yield "<h2>Data</h2>"
    yield _table(comparison.data, comparison)
    if comparison.curves:
        yield "<h2>Curves</h2>\n<p>Solid: validation. Dashed: training.</p>"
        yield '<div class="charts">'
        for name, curves in comparison.curves.items():
            yield f"<figure><figcaption>{_text(name)}</figcaption>\n{_chart(name, curves, comparison)}\n</figure>"
        yield "</div>"
    yield "</body>\n</html>\n"


def _table(rows: Rows, comparison: Comparison) -> str:
    """A row for each thing, a column for each run, with the run's colour in the charts."""
    keys = [
        f'<span class="key" style="background:{colour_of(index)}"></span>{label}'
        for index, label in enumerate(comparison.labels)
    ]
    header = "".join(f"<th>{each}</th>" for each in ["", *keys])
    body = "\n".join(_row([name, *values], "th") for name, values in rows.items())
    return f'<div class="wide"><table>\n<tr>{header}</tr>\n{body}\n</table></div>'


def _tests(comparison: Comparison) -> str:
    rows = [_row(["", "score", "difference, 95 % interval", "p", "", "how it is known"], "th", all_of_them=True)]
    refusals = []
    for label, tests in zip(comparison.labels[1:], comparison.tests, strict=True):
        if tests.refusal:
            refusals.append(f"<p>{label}: not tested: {_text(tests.refusal)}</p>")
        for each in tests.differences:
            name, change, p, method = told(each)
            rows.append(_row([label, name, change, p, comparison.better(each), method], "th"))
    table = '<div class="wide"><table>\n' + "\n".join(rows) + "\n</table></div>" if len(rows) > 1 else ""
    note = corrected(comparison)
    return "\n".join([table, *refusals, *([f"<p>{_text(note)}</p>"] if note else [])])


def _row(cells: Sequence[str], first: str, all_of_them: bool = False) -> str:
    tags = [first if index == 0 or all_of_them else "td" for index in range(len(cells))]
    return "<tr>" + "".join(f"<{tag}>{_text(cell)}</{tag}>" for tag, cell in zip(tags, cells, strict=True)) + "</tr>"


def _chart(name: str, curves: Sequence[Curve], comparison: Comparison) -> str:
    lines = [
        Line(f"{comparison.labels[each.run]} {each.split}", each.run, each.split == "train", each.points)
        for each in curves
    ]
    return line_chart(lines, "step", printable(name))


def _text(text: str) -> str:
    return escape(printable(text))
