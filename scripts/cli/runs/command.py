"""What runs.py does: each action with its options."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from datamodules.files.paths import printable, relative, user_path
from scripts.cli.errors import UsageError, did_you_mean, user_errors
from scripts.cli.run.files import logs_at, write_whole
from scripts.cli.runs.best import show_best
from scripts.cli.runs.formats import check_format, print_json
from scripts.cli.runs.listing import print_notes, show
from scripts.cli.runs.run_folders import named_runs
from scripts.cli.runs.selection import Choice, all_runs

Options = dict[str, Any]

PAGE = "comparison.html"  # by default, in the working folder

CHOICE = ("logs", "model", "data")
OPTIONS = {  # of each action
    "list": (*CHOICE, "status", "sort", "format"),
    "compare": ("logs", "output", "format"),
    "report": ("logs", "output", "lang"),
    "best": (*CHOICE, "metric", "partial"),
    "clean": (*CHOICE, "stopped", "checkpoints", "older", "keep", "yes"),
}


def runs(words: list[str], **options: Any) -> None:
    """List, compare, choose or clean runs.

    Args:
        words: the action, and what it is about.
        options: of all actions.

    Raises:
        UserError: an option is not one of the action, or what it names is not there.
    """
    action, rest = (words[0], words[1:]) if words else ("", [])
    if action not in OPTIONS:
        raise UsageError(
            f"{action or 'do what?'}: expected {', '.join(OPTIONS)}{did_you_mean(action, OPTIONS)} (--help shows them)"
        )
    for name, value in options.items():
        if value not in (None, [], False) and name not in OPTIONS[action]:
            of = " and ".join(each for each in OPTIONS if name in OPTIONS[each])
            raise UsageError(f"--{name}: is an option of {of}, not of {action}")
    for word in rest:
        if word.startswith("--"):
            known = [f"--{name}" for name in OPTIONS[action]]
            raise UsageError(f"{word}: no such option{did_you_mean(word, known)} (--help shows them)")
    with user_errors():
        ACTIONS[action](rest, options)


def no_words(action: str, words: list[str]) -> None:
    """Refuse words where an action has options alone.

    Raises:
        UsageError: there is one.
    """
    if words:
        raise UsageError(f"{words[0]}: {action} expects options alone; --logs names another folder of runs")


def list_runs(words: list[str], options: Options) -> None:
    """`list`."""
    no_words("list", words)
    form = check_format(options["format"])
    found = all_runs(logs_at(options["logs"]))
    show(Choice(found, options["model"], options["data"], options["status"]).runs, options["sort"], form)


def best_run(words: list[str], options: Options) -> None:
    """`best`."""
    logs = logs_at(options["logs"])
    found = named_runs(words, logs) if words else all_runs(logs)
    show_best(Choice(found, options["model"], options["data"]).runs, options["metric"], options["partial"])


def clean_runs(words: list[str], options: Options) -> None:
    """`clean`."""
    from scripts.cli.runs.clean import clean
    from scripts.cli.runs.cleaning import Rules

    no_words("clean", words)
    logs = logs_at(options["logs"]).resolve()
    found = all_runs(logs)
    rules = Rules(**{name: options[name] for name in Rules._fields})
    clean(logs, found, Choice(found, options["model"], options["data"]).has, rules, options["yes"])


def compare_runs(words: list[str], options: Options) -> None:
    """`compare`."""
    from scripts.cli.runs.comparison import Comparison  # numpy and scipy, which the others do without
    from scripts.cli.runs.comparison_page import page_of
    from scripts.cli.runs.comparison_text import content_of, text_of

    form = check_format(options["format"])
    if form == "csv":
        raise UsageError("--format csv: compare writes a table or json")
    page = html_path(options["output"] or PAGE)
    comparison = Comparison(named_runs(words, logs_at(options["logs"])))
    write_whole(page, page_of(comparison))
    if form == "json":
        print_json(content_of(comparison) | {"page": str(page.absolute())})
    else:
        print(f"{text_of(comparison)}\n\ncurves: {printable(relative(page.absolute()))}")
    print_notes(comparison.runs)


def report_run(words: list[str], options: Options) -> None:
    """`report`."""
    from scripts.cli.report.language import LANGUAGES, language_of  # with the page's template engine
    from scripts.cli.report.page import NAME, page

    if len(words) != 1:
        raise UsageError(f"report: expected the folder of one run, got {len(words)}")
    lang = options["lang"] or LANGUAGES[0]
    if lang not in LANGUAGES:
        raise UsageError(f"--lang {lang}: expected one of {', '.join(LANGUAGES)}")
    (run,) = named_runs(words, logs_at(options["logs"]))
    path = html_path(options["output"] or str(run.folder / NAME))
    write_whole(path, page(run, language_of(lang)))
    print(f"report: {printable(relative(path.absolute()))}")
    print_notes([run])


def html_path(output: str) -> Path:
    """The page that `--output` names.

    Raises:
        UsageError: its name does not end in .html.
    """
    path = user_path(output, "--output")
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--output {path}: expected a name that ends in .html")
    return path


ACTIONS: dict[str, Callable[[list[str], Options], None]] = {
    "list": list_runs,
    "compare": compare_runs,
    "report": report_run,
    "best": best_run,
    "clean": clean_runs,
}
