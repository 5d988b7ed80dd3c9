"""Measures what `--only` names, one after the other."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from scripts.cli.errors import UsageError

Known = TypeVar("Known")
Found = TypeVar("Found")


def measure_each(
    only: Sequence[str], known: Mapping[str, Known], measure: Callable[[str, Known], Found]
) -> dict[str, Found]:
    """What is measured of each, by name; each is announced.

    Args:
        only: names; none for all.
        known: all that there are.
        measure: gets a name, and what it names.

    Raises:
        UsageError: a name is none of these.
    """
    for name in only:
        if name not in known:
            raise UsageError(f"--only {name}: expected some of {', '.join(known)}")
    found = {}
    for name in only or known:
        print(f"measuring {name} …", file=sys.stderr)
        found[name] = measure(name, known[name])
    return found
