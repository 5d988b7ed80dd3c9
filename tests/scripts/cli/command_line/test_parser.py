"""What is private in argparse, and so in jsonargparse, still contains the options."""

from scripts.cli.command_line.parser import Parser


def test_knows_the_options_and_can_leave_them_out_of_the_help() -> None:
    parser = Parser()
    parser.add_argument("--alone", default=1, help="seen")
    group = parser.add_argument_group("group")
    group.add_argument("--within", default=0, help="not seen")
    assert {"alone", "within"} <= parser.known()
    assert {"--alone", "--within"} <= {*parser.options()}
    assert parser.hide(lambda name: name == "within") == 1
    assert "seen" in parser.format_help()
    assert "not seen" not in parser.format_help()
