"""The words of a command line, and the help that needs nothing else."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.cli.errors import UsageError


class CommandLine:
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

    def values_after(self, name: str) -> list[str]:
        """The values between the option and the next option; takes them, and none if it is not given."""
        if name not in self.words:
            return []
        begin = self.words.index(name)
        end = next((i for i, word in enumerate(self.words) if i > begin and word.startswith("--")), len(self.words))
        values = self.words[begin + 1 : end]
        if not values:
            raise UsageError(f"{name} needs a value, or several")
        self.words = self.words[:begin] + self.words[end:]
        return values

    def value(self, name: str) -> str | None:
        """The option's value, which may be given once; takes it."""
        values = list(self.values(name))
        if len(set(values)) > 1:
            raise UsageError(f"{name} {values[0]} and {name} {values[1]} contradict each other; give one")
        return values[0] if values else None


def docstring(script: Path) -> str:
    """The text at the head of a script, read without running it."""
    return ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""


def answer_help(words: list[str], script: Path) -> bool:
    """Answer `--help`, and an empty command line, with a script's docstring; whether it did."""
    if words and not {"--help", "-h"} & set(words):
        return False
    print(docstring(script), file=sys.stdout if words else sys.stderr)
    if not words:
        raise SystemExit(2)
    return True
