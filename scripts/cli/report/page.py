"""The report of a run: one page that needs no network and no other file, of what stands in the run's folder."""

import base64
import csv
import itertools
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from callbacks.loggers.pictures import pictures_of
from datamodules.files.paths import printable, regular
from scripts.cli.report.language import Language, Words, language_of
from scripts.cli.run.baseline_columns import Columns, columns_of, strongest
from scripts.cli.run.files import write_whole
from scripts.cli.runs.changed_settings import section
from scripts.cli.runs.curves import curves_of
from scripts.cli.runs.line_chart import Line, line_chart
from scripts.cli.runs.recorded_run import RecordedRun, numbers
from scripts.cli.runs.recorded_run import number as as_number
from scripts.cli.runs.run_folders import find_runs
from scripts.cli.shell import quoted

NAME = "report.html"
TEMPLATES = Path(__file__).parents[2] / "templates" / "report"
MAX_MISTAKES = 20  # rows of the table
MAX_CHARS = 300  # of a cell
MAX_SVG = 200_000  # bytes; a larger picture is shown as pixels
DIRTY = "not clean: the code had changes that are not committed"
COLOUR = {"val": 0, "train": 1}


class Score(NamedTuple):
    """A row of the table of scores, as texts."""

    name: str
    test: str
    interval: str
    baselines: list[str]
    monitored: bool


def write_report(folder: Path, lang: str) -> None:
    """Write a run's `report.html` into its folder.

    Args:
        folder: of the run.
        lang: of the page, as `--lang` names it.
    """
    (run,) = find_runs(folder)
    write_whole(folder / NAME, page(run, language_of(lang)))


def page(run: RecordedRun, language: Language) -> str:
    """The page.

    Args:
        run: its folder may lack results, if it was stopped.
        language: of the page.
    """
    words, results = Words(language), run.results
    baselines = columns_of(run.test, numbers(results.get("baseline")))
    verdict, worse = judgement(run, baselines, words)
    rows = scores(run, baselines)
    mistakes = predictions(run.folder)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.get_template("report.html").render(
        language="zh-CN" if language == "zh" else "en",
        words=words,
        title=f"{run.model}: {run.data_shown}" if run.data else run.model,
        folder=printable(run.folder),
        partial=partial_lines(run, words),
        verdict=verdict,
        worse=worse,
        scores=rows,
        baselines=[words(name) for name in baselines],
        has_intervals=any(row.interval for row in rows),
        interval_note=words("intervals: bootstrap over the {size} test examples", size=f"{mistakes.size:,}"),
        facts=facts(run, words),
        charts=charts(run),
        pictures=[
            {"name": printable(" ".join(words(part) for part in parts(file))), "source": source(file)}
            for file in pictures_of(run.folder)
        ],
        classes=classes(results),
        mistakes=mistakes,
        changed=[(name, printable(str(value))) for name, value in run.settings.items()],
        config=text_of(run.folder / "config.yaml"),
        notes=[printable(str(note)) for note in [*listed(results.get("notes")), *run.notes]],
        commands=commands(run, words),
    )


def scores(run: RecordedRun, baselines: Columns) -> list[Score]:
    """A row for each metric of the test, the monitored one first."""
    monitored, units, intervals = run.monitor.rpartition("/")[2], section(run.results, "units"), run.intervals
    rows = []
    for name in sorted(run.test, key=lambda name: name != monitored):
        interval = f"{intervals[name][0]:.4g} – {intervals[name][1]:.4g}" if name in intervals else ""
        cells = [number(of[name]) if name in of else "" for of in baselines.values()]
        unit = f" ({printable(units[name])})" if units.get(name) else ""
        rows.append(Score(f"{name}{unit}", number(run.test[name]), interval, cells, name == monitored))
    return rows


def judgement(run: RecordedRun, baselines: Columns, words: Words) -> tuple[str, bool]:
    """Whether the model is better than the strongest baseline, as a sentence; empty where none can be compared."""
    found = strongest(run.test, baselines, run.monitor, run.mode)
    if found is None:
        return "", False
    better = "better" if found.beaten else "NOT better"
    line = f"the model is {better} than {{name}}: {{metric}} {{score}}, {{name}} {{other}}"
    scores = {"score": number(found.model), "other": number(found.baseline)}
    return words(line, name=words(found.name), metric=found.metric, **scores), not found.beaten


def facts(run: RecordedRun, words: Words) -> list[tuple[str, str]]:
    """What was run, where, and what it has cost."""
    results = run.results
    code, machine, sizes = (section(results, name) for name in ("commit", "machine", "sizes"))
    where = ", ".join(
        str(each)
        for each in (
            machine.get("host"),
            machine.get("system"),
            machine.get("processor"),
            f"{machine['cores']} cores" if machine.get("cores") else None,
            f"{machine['memory_gb']} GB" if machine.get("memory_gb") else None,
            *listed(machine.get("devices")),
        )
        if each
    )
    rate = as_number(results.get("examples_per_second"))
    versions = ", ".join(f"{name} {version}" for name, version in section(results, "versions").items())
    state = "" if not code else words("clean") if code.get("clean") else words(DIRTY)
    found = [
        (words("model"), run.model),
        (words("data"), printable(run.data)),
        (words("train / validate / test"), " / ".join(number(size) for size in sizes.values())),
        (words("parameters"), number(results.get("parameters"))),
        (words("seed"), str(results.get("seed", ""))),
        (words("best"), f"{run.monitor} {number(run.best)}" if run.best is not None else ""),
        (words("best epoch"), str(results.get("best_epoch") or "")),
        (words("end"), ended(section(results, "end"), words)),
        (words("trained in"), f"{run.seconds:,.1f} {words('seconds')}" if run.seconds is not None else ""),
        (words("examples a second"), f"{rate:,.0f}" if rate else ""),
        (words("commit"), f"{code.get('id')}, {state}" if code else ""),
        (words("versions"), versions),
        (words("machine"), printable(where)),
    ]
    return [(name, value) for name, value in found if value]


def ended(end: dict[str, Any], words: Words) -> str:
    """Why the run ended: the sentence that it has printed, in Chinese its reason and the epoch."""
    if words.language == "en" or not end.get("epoch"):
        return str(end.get("text", ""))
    return f"{words(str(end.get('reason')))}，{words('epoch {epoch}', epoch=end['epoch'])}"


def partial_lines(run: RecordedRun, words: Words) -> list[str]:
    """What keeps the scores from being those of a complete run."""
    if not run.results:
        return [words("the run has no results yet; this is what it has logged so far")]
    seen = ", ".join(f"{words(split)}: {text}" for split, text in section(run.results, "partial").items())
    return [f"{words('partial')}: {seen}"] if seen else []


def charts(run: RecordedRun) -> list[dict[str, str]]:
    """A chart for each metric that was validated, with that of training; SVG, made here and nowhere else."""
    found = []
    for metric, curves in curves_of([run]).items():
        if not any(curve.split == "val" for curve in curves):
            continue
        lines = [Line(curve.split, COLOUR[curve.split], curve.split == "train", curve.points) for curve in curves]
        found.append({"name": printable(metric), "svg": line_chart(lines, "step", printable(metric))})
    return found


def classes(results: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """The scores of each class, as texts."""
    names = ("precision", "recall", "f1", "examples")
    return [
        (printable(name), [number(each.get(key)) for key in names])
        for name, each in section(results, "per_class").items()
        if isinstance(each, dict)
    ]


class Predictions(NamedTuple):
    """The beginning of the file of predictions, as it is shown.

    Args:
        header: names of the columns.
        rows: the first ones.
        size: number of all rows.
    """

    header: list[str]
    rows: list[list[str]]
    size: int


def predictions(folder: Path) -> Predictions:
    """The most wrong predictions of a run; none where it has no file of them."""
    path = folder / "test_predictions.csv"
    if not path.exists():
        return Predictions([], [], 0)
    with regular(path).open(newline="", encoding="utf-8", errors="replace") as file:
        lines = csv.reader(file)
        header = next(lines, [])
        first = [*itertools.islice(lines, MAX_MISTAKES)]
        size = len(first) + sum(1 for _ in lines)
    hidden = header.index("index") if "index" in header else -1

    def shown(row: list[str]) -> list[str]:
        cells = [cell for index, cell in enumerate(row) if index != hidden]
        lines = (" ".join(cell.splitlines()) for cell in cells)
        return [printable(line if len(line) <= MAX_CHARS else f"{line[:MAX_CHARS]} …") for line in lines]

    return Predictions(shown(header), [shown(row) for row in first], size)


def parts(file: Path) -> tuple[str, str]:
    """The split and the rest of a picture's name."""
    split, _, rest = file.stem.partition(" ")
    return split, rest


def source(file: Path) -> str:
    """A picture as the address of an image: lines as SVG, unless that is large."""
    drawing = file.with_suffix(".svg")
    is_small = drawing.exists() and drawing.stat().st_size <= MAX_SVG
    path, form = (drawing, "svg+xml") if is_small else (file, "png")
    return f"data:image/{form};base64,{base64.b64encode(path.read_bytes()).decode()}"


def commands(run: RecordedRun, words: Words) -> list[tuple[str, str]]:
    """What to type next."""
    folder = quoted(str(run.folder))
    return [
        (words("predict"), f"python scripts/predict.py --checkpoint {folder} --input FILE"),
        (words("dashboard"), f"tensorboard --logdir {quoted(str(run.folder.parent))}"),
    ]


def text_of(path: Path) -> str:
    """The text of a file; empty where there is none."""
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def number(value: Any) -> str:
    """A number with four significant digits; counts as they are."""
    found = as_number(value)
    return "" if found is None else f"{value:,}" if isinstance(value, int) else f"{found:.4g}"


def listed(value: Any) -> list[Any]:
    """A list; empty where it is something else, as in a damaged file."""
    return value if isinstance(value, list) else []
