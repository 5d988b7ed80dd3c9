"""Find a learning rate: raise it step by step, on a model that is thrown away, until the loss diverges.

python scripts/find_rate.py --model cnn
python scripts/find_rate.py --model transformer --data Multi30k --steps 200
python scripts/find_rate.py --model mlp --lowest 1e-5 --highest 1 --output rates.png

Takes the options of fit.py, and besides:
--steps     training steps in all, 100 by default
--lowest    the first rate, 1e-7 by default
--highest   the last, 10 by default
--output    a PNG file; its figures are written as CSV, too. NAME_rate.png by default
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the code of the clone that this file is in, whatever is installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.cli.command_line.subcommands import run


def main(words: list[str]) -> None:
    """Run the command line."""
    run("find_rate", words)


if __name__ == "__main__":
    main(sys.argv[1:])
