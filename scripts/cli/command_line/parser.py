"""A parser whose errors are one line in the user's terms."""

import re
from argparse import SUPPRESS
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from jsonargparse import ArgumentParser
from lightning.pytorch import LightningDataModule, LightningModule

from scripts.cli.command_line.trust import expected_at, only_trusted, place_of, refusal
from scripts.cli.errors import UsageError, did_you_mean


class Parser(ArgumentParser):
    """Parses the options of a model and its data, and raises a one-line UsageError instead of printing its usage.

    Neither argparse nor jsonargparse has a public list of a parser's options: here alone the private one is read.
    """

    model: type[LightningModule]
    data: type[LightningDataModule]
    allowed: Sequence[str] | None = None  # what `--allow` names; None in jsonargparse's own parsers of parts

    def instantiate(self, *args: Any, **kwargs: Any) -> Any:
        """The objects that parsed options describe; another parser may have been allowed other classes since."""
        if self.allowed is not None:
            only_trusted(self.allowed)
        return super().instantiate(*args, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Report what is wrong in the user's terms."""
        raise UsageError(self.translated(message)) from ex

    def section(self, name: str, title: str = "") -> Any:
        """The group of a section's options, with a title in the help."""
        assert self.groups is not None, "there is a section"
        self.groups[name].title = title or self.groups[name].title
        return self.groups[name]

    def known(self) -> set[str]:
        """The names of all settings."""
        return {action.dest for action in self._actions}

    def hide(self, hidden: Callable[[str], bool]) -> int:
        """Leave options out of the help.

        Args:
            hidden: whether the setting of that name is left out.

        Returns:
            The number of options that are left out.
        """
        found = [action for action in self._actions if hidden(action.dest)]
        for action in found:
            action.help = SUPPRESS
        return len(found)

    def options(self) -> list[str]:
        """Every option that starts with two dashes."""
        return [option for action in self._actions for option in action.option_strings if option.startswith("--")]

    def is_count(self, name: str) -> bool:
        """Whether the option is an integer whose default is at least 1: a size or a count."""
        default = next((action.default for action in self._actions if action.dest == name), None)
        return isinstance(default, int) and not isinstance(default, bool) and default >= 1

    def translated(self, message: str) -> str:
        """One line, with the option's own spelling and the nearest right one."""
        if found := re.search(r"[Uu]nrecognized arguments?:? (\S+)|Option '(\S+)' is not accepted", message):
            option = (found[1] or f"--{found[2]}").split("=")[0]
            return f"{option}: no such option{did_you_mean(option, self.options())} (--help_all shows them all)"
        found = re.search(r'[Kk]ey "([^"]+)"', message)
        option = f"--{found[1]}" if found else ""
        if found := re.search(r"Importing '([^']+)' is not allowed", message):
            return refusal(option, found[1])
        if found := re.search(r"- (--\S+?: (?:no such option|expected).*)", message):  # of a class within the class
            return re.sub(r"--(?!help|allow)", f"{option}.", found[1])
        given = re.search(r"(?:Given value|Got value): (.*)", message)
        expected = [
            _readable(text)
            for text in re.findall(r"Expected (?:an? )?(.*?)(?:\. Got value|: .*|$)", message, re.MULTILINE)
        ]
        if option and expected:
            accepted = expected_at(option) if place_of(option) else " or ".join(dict.fromkeys(expected))
            return f"{option}: expected {accepted}, got {given[1].strip() if given else 'nothing'}"
        return f"{option}: {message}" if option and option not in message else message


def _readable(text: str) -> str:
    text = re.sub(r"<class '(?:builtins\.)?([^']+)'>", r"\1", text.strip())
    text = re.sub(r"typing\.Literal\[([^,]*)\]", r"\1", text)
    text = re.sub(r"typing\.Literal\[(.*)\]", r"one of \1", text)
    return {"NoneType": "null", "dot import path string": "the name of a class"}.get(text, text.replace("'", ""))
