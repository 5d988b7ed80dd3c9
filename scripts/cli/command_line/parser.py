"""A parser whose errors are one line in the user's terms."""

import re
import sys
from argparse import SUPPRESS
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import reduce
from inspect import signature
from operator import or_
from typing import Any, NoReturn, get_args

import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace
from lightning.pytorch import LightningDataModule, LightningModule

from scripts.cli.command_line.argv import CommandLine
from scripts.cli.command_line.classes import linked
from scripts.cli.command_line.kept_options import unknown
from scripts.cli.command_line.recipes import Config, Loader
from scripts.cli.command_line.techniques import TECHNIQUES
from scripts.cli.command_line.trust import expected_at, instead_of, nearest_class, only_trusted, place_of, refusal
from scripts.cli.errors import UsageError, did_you_mean

SECTIONS = ("model", "data", "trainer", *TECHNIQUES)


class Parser(ArgumentParser):
    """Parses the options of a model and its data, and raises a one-line UsageError instead of printing its usage.

    Neither argparse nor jsonargparse has a public list of a parser's options: here alone the private one is read.
    """

    model: type[LightningModule]
    data: type[LightningDataModule]
    allowed: Sequence[str] | None = None  # what `--allow` names; None in jsonargparse's own parsers of parts
    keep_help: Callable[[str], None] | None = None  # of one that is asked for

    def instantiate(self, *args: Any, **kwargs: Any) -> Any:
        """The objects that parsed options describe; another parser may have been allowed other classes since."""
        if self.allowed is not None:
            only_trusted(self.allowed)
        return super().instantiate(*args, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Report what is wrong in the user's terms."""
        raise UsageError(self.translated(message)) from ex

    def format_help(self, *args: Any) -> str:
        """The text of the help."""
        text = super().format_help(*args)
        if self.keep_help is not None:
            self.keep_help(text)
        return text

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

    def integers_first(self) -> None:
        """Let 4 be an integer wherever integers and others are accepted: the first type that fits is taken.

        `typing` has one object for unions of the same types, whose order is that of the module that has asked first,
        whichever that is: there `Union[int, float]` of Lightning's Trainer may read 4 as 4.0, a part.
        """
        for action in self._actions:
            found: Any = action
            types = get_args(getattr(found, "_typehint", None))
            if int in types and float in types and types.index(float) < types.index(int):
                found._typehint = reduce(or_, sorted(types, key=lambda each: each is not int))

    def options(self) -> list[str]:
        """Every option that starts with two dashes."""
        return [option for action in self._actions for option in action.option_strings if option.startswith("--")]

    def read(self, config: Config, arguments: list[str]) -> Namespace:
        """Parse arguments over the settings of a configuration.

        Raises:
            UsageError: a setting or an option is unknown, of the wrong type, or a size or count of the model below 1.
        """
        known = self.known()
        for name, value in _leaves(config, known):
            if name not in known:
                raise UsageError(f"{name}: no such setting{did_you_mean(name, known)}")
            if name in SECTIONS and value is not None:
                raise UsageError(f"{name}: expected a section of settings, got {value!r}")
        try:
            self.parse_object(config)  # reports errors of a file, which a default would not
            self.set_defaults(dict(_leaves(without_replaced(config, arguments), known)))
            counts = [action.dest for action in self._actions if type(action.default) is int and action.default >= 1]
            parsed = self.parse_args(arguments)
        except ArgumentError as error:
            raise UsageError(self.translated(error.message or str(error))) from error
        for name in counts:
            if name.startswith("model.") and type(parsed[name]) is int and parsed[name] < 1:
                raise UsageError(f"--{name}: expected at least 1, got {parsed[name]}")
        return parsed

    def translated(self, message: str) -> str:
        """One line, with the option's own spelling and the nearest right one."""
        if found := re.search(r"[Uu]nrecognized arguments?:? (\S+)|Option '(\S+)' is not accepted", message):
            option = (found[1] or f"--{found[2]}").split("=")[0]
            if not option.startswith("-"):
                return f"{option}: expected an option, which begins with -- (--help shows the most used)"
            return unknown(option, self.options(), [] if self.allowed is None else linked(self.model, self.data))
        found = re.search(r'[Kk]ey "([^"]+)"', message)
        option = f"--{found[1]}" if found else ""
        if found := re.search(r"Not of type (\w+): .*?'?([^'\s:]+)'?(?: does not conform.*)?$", message):
            if "NestedArg" in message:
                return f"{option}: has no options of its own"
            least = "a positive number" if found[1].startswith("Positive") else "a whole number from 0"
            return f"{option}: expected {least}, got {found[2]}"
        if found := re.search(r"Importing '([^']+)' is not allowed", message):
            return refusal(option, found[1])
        if found := re.search(r"- (--\S+?: (?:no such option|expected).*)", message):  # of a class within the class
            return re.sub(r"--(?!help|allow)", f"{option}.", found[1])
        given = re.search(r"(?:Given value|Got value): (.*)", message)
        expected = [
            _readable(text)
            for text in re.findall(r"Expected (?:an? )?(.*?)(?:\. Got value|: .*|$)", message, re.MULTILINE)
        ]
        if given and given[1].strip().startswith("NestedArg"):
            return below(option, given[1])
        if given and (hint := instead_of(option, given[1].strip())):
            return hint
        if given and (lacking := _lacking(given[1])):
            return f"{option}.{lacking.split()[-1]}: {lacking}"
        if option and expected:
            accepted = expected_at(option) if place_of(option) else " or ".join(dict.fromkeys(expected))
            got = given[1].strip() if given else "nothing"
            return f"{option}: expected {accepted}, got {got}{nearest_class(option, got)}"
        return f"{option}: {message}" if option and option not in message else message


def below(option: str, message: str) -> str:
    """The message for an option of a setting that has none, such as `--logger.wandb.project`."""
    key = re.search(r"NestedArg\(key='([\w.]+)'", message)
    services = "; variables set that, such as WANDB_PROJECT or MLFLOW_EXPERIMENT_NAME" if option == "--logger" else ""
    return f"{option}.{key[1] if key else ''}: no such option{services}"


def _lacking(given: str) -> str:
    """What a class needs and is not given, of what jsonargparse says that it was given; empty for anything else."""
    found = re.match(r"Namespace\(class_path='([\w.]+)\.(\w+)', init_args=Namespace\((.*)\)\)$", given.strip())
    cls = getattr(sys.modules.get(found[1]), found[2], None) if found else None
    if not found or not isinstance(cls, type):
        return ""
    needed = [name for name, each in signature(cls).parameters.items() if each.default is each.empty]
    missing = [name for name in needed if re.search(rf"\b{name}=None\b", found[3])]
    return f"{cls.__name__} needs {' and '.join(missing)}" if missing else ""


def _readable(text: str) -> str:
    text = re.sub(r"<class '(?:builtins\.)?([^']+)'>", r"\1", text.strip())
    text = re.sub(r"typing\.Literal\[([^,]*)\]", r"\1", text)
    text = re.sub(r"typing\.Literal\[(.*)\]", r"one of \1", text)
    return {"NoneType": "null", "dot import path string": "the name of a class"}.get(text, text.replace("'", ""))


def without_replaced(config: Config, arguments: list[str]) -> Config:
    """A configuration without the classes that arguments replace by others.

    The parser would hand the old class's settings on to the new one wherever their names agree.
    """
    left = {section: dict(values) if isinstance(values, dict) else values for section, values in config.items()}
    line = CommandLine(list(arguments))
    for section, values in left.items():
        for key, value in list(values.items()) if isinstance(values, dict) else ():
            if isinstance(value, dict) and "class_path" in value:
                for word in line.values(f"--{section}.{key}"):
                    name = class_named(word)
                    if name.rpartition(".")[2] != value["class_path"].rpartition(".")[2]:
                        values[key] = None
    return left


def class_named(word: str) -> str:
    """The class that an option's value names, outright or within braces."""
    if word.lstrip().startswith("{"):
        with suppress(yaml.YAMLError):  # the parser reports it
            value = yaml.load(word, Loader)
            return str(value.get("class_path", "")) if isinstance(value, dict) else ""
    return word


def _leaves(config: Config, known: set[str], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and (name not in known or name in SECTIONS):
            yield from _leaves(value, known, f"{name}.")
        else:
            yield name, value
