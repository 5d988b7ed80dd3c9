"""What is private in argparse, and so in jsonargparse, still contains the options."""

from jsonargparse import ArgumentParser

from scripts.cli.command_line.private_argparse import actions_in, actions_of


def test_lists_the_options_of_a_parser_and_of_a_group() -> None:
    parser = ArgumentParser()
    parser.add_argument("--alone", default=1)
    group = parser.add_argument_group("group")
    group.add_argument("--within", default=2)
    defaults = {action.dest: action.default for action in actions_of(parser)}
    assert (defaults["alone"], defaults["within"]) == (1, 2)
    assert [action.dest for action in actions_in(group)] == ["within"]
