"""What runs.py does: each action with its options."""

from collections.abc import Callable
from typing import Any

from scripts.cli.errors import UsageError, did_you_mean, user_errors
from scripts.cli.run.files import logs_at
from scripts.cli.runs.best import show_best
from scripts.cli.runs.formats import check_format
from scripts.cli.runs.listing import show
from scripts.cli.runs.run_folders import named_runs
from scripts.cli.runs.selection import chosen_runs

Options = dict[str, Any]

CHOICE = ("logs", "model", "data")
OPTIONS = {  # of each action
    "list": (*CHOICE, "status", "sort", "format"),
    "compare": ("logs", "output", "format"),
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
    chosen = chosen_runs(logs_at(options["logs"]), options["model"], options["data"], options["status"])
    show(chosen, options["sort"], form)


def best_run(words: list[str], options: Options) -> None:
    """`best`."""
    logs = logs_at(options["logs"])
    chosen = named_runs(words, logs) if words else chosen_runs(logs, options["model"], options["data"], [])
    show_best(chosen, options["metric"], options["partial"])


ACTIONS: dict[str, Callable[[list[str], Options], None]] = {"list": list_runs, "best": best_run}
