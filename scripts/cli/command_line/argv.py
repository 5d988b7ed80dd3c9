"""The words of a command line, and the help that needs nothing else."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.cli.errors import UsageError


class Line:
    """The command line's words, of which the few that must be known first are taken."""

    def __init__(self, words: list[str]) -> None:
        self.words = words

    def mentions(self, name: str) -> bool:
        """Whether a value is given to the option; leaves it."""
        return any(word.split("=")[0] == name for word in self.words)

    def values(self, name: str) -> Iterator[str]:
        """Every value given to the option; takes them."""
        rest: list[str] = []
        words = iter(self.words)
        for word in words:
            if word == name:
                value = next(words, None)
                if value is None or value.startswith("--"):
                    raise UsageError(f"{name} needs a value")
                yield value
            elif word.startswith(name + "="):
                yield word[len(name) + 1 :]
            else:
                rest.append(word)
        self.words = rest

    def value(self, name: str) -> str | None:
        """The option's value, which may be given once; takes it."""
        values = list(self.values(name))
        if len(set(values)) > 1:
            raise UsageError(f"{name} {values[0]} and {name} {values[1]} contradict each other; give one")
        return values[0] if values else None

    def needed(self, name: str, question: str) -> str:
        """The option's value; takes it.

        Raises:
            UsageError: there is none; the message is the question that it would have answered.
        """
        value = self.value(name)
        if value is None:
            raise UsageError(question)
        return value


def docstring(script: str) -> str:
    """The text at the head of a script, read without running it."""
    return ast.get_docstring(ast.parse(Path(script).read_text(encoding="utf-8"))) or ""


def answer_help(words: list[str], script: str) -> bool:
    """Answer `--help`, and an empty command line; true if that was all that was asked."""
    if words and not {"--help", "-h"} & set(words):
        return False
    print(docstring(script), file=sys.stdout if words else sys.stderr)
    if not words:
        raise SystemExit(2)
    return True
