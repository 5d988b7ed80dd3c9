"""The private parts of argparse, and so of jsonargparse: neither has a public list of a parser's options."""

from argparse import Action, ArgumentParser, _ArgumentGroup


def actions_of(parser: ArgumentParser) -> list[Action]:
    """All options of a parser, with their names and defaults."""
    return parser._actions


def actions_in(group: _ArgumentGroup) -> list[Action]:
    """The options of a parser that are in a group of its help."""
    return group._group_actions
