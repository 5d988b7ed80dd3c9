"""All subcommands as one program: `python -m scripts fit --model gat` is `python scripts/fit.py --model gat`."""

import sys

from scripts.cli.command_line.argv import docstring
from scripts.cli.command_line.recipes import ROOT
from scripts.cli.command_line.subcommands import SUBCOMMANDS, run
from scripts.cli.errors import did_you_mean


def main() -> None:
    """Run the command line."""
    name, words = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("--help", [])
    if name in SUBCOMMANDS:
        run(name, words)
    elif name in ("--help", "-h"):
        for each in SUBCOMMANDS:
            print(f"{each:16}{docstring(ROOT / 'scripts' / f'{each}.py').splitlines()[0]}")
    else:
        print(
            f"error: {name}: no such subcommand{did_you_mean(name, SUBCOMMANDS)} (--help lists them)", file=sys.stderr
        )
        raise SystemExit(2)


if __name__ == "__main__":
    main()
