"""Embedded data whose texts a grammar generates: whether a text that a model writes is of it can be judged."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from datamodules.synthetic import exercises


class Grammar(NamedTuple):
    """What judges texts.

    Args:
        is_valid: whether a text is of the grammar.
        is_right: whether it is, and what it states is true.
        prompts: given a split, a number and a seed, beginnings of texts that state what no other split does, each with
            how it goes on.
    """

    is_valid: Callable[[str], bool]
    is_right: Callable[[str], bool]
    prompts: Callable[[str, int, int], Sequence[tuple[str, str]]]


GRAMMARS = {  # by the name of the data set
    "exercises": Grammar(exercises.is_valid, exercises.is_right, exercises.prompts),
}
