"""Quoting for a shell: for scripts that are generated, and for command lines that are printed to be copied."""

import re
import shlex
from collections.abc import Iterable

# Line breaks, terminal control characters, marks of text direction and lone surrogates: nothing that is visible. (To
# Python a byte of a file name that is not UTF-8 is a lone surrogate too; it passes through.)
HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udc7f\udd00-\udfff]")


def quoted(word: str) -> str:
    """The word quoted for bash, on one line and without invisible characters."""
    if not HIDDEN.search(word):
        return shlex.quote(word)
    return "$'" + re.sub(rf"[\\']|{HIDDEN.pattern}", lambda found: _escaped(found[0]), word) + "'"


def _escaped(character: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogatepass"))


def command_line(words: Iterable[str]) -> str:
    """The words as a line that bash splits into them again."""
    return " ".join(map(quoted, words))
