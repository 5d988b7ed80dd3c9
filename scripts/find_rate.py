"""Find a learning rate: raise it step by step, on a model that is thrown away, until the loss diverges.

python scripts/find_rate.py --model cnn
python scripts/find_rate.py --model transformer --data Multi30k --steps 200
python scripts/find_rate.py --model mlp --lowest 1e-5 --highest 1 --output rates.png

Takes the options of fit.py, and besides:
--steps     training steps in all, 100 by default
--lowest    the first rate, 1e-7 by default
--highest   the last, 10 by default
--output    a PNG file; its figures stand beside it as CSV. NAME_rate.png by default
"""

import sys

from scripts.cli.command_line.argv import Line
from scripts.cli.command_line.recipes import answer_quickly, resolve
from scripts.cli.errors import one_line_errors


def main(words: list[str]) -> None:
    """Run the command line."""
    debug = "--debug" in words
    with one_line_errors(debug):
        if answer_quickly(words, __file__):
            return
        line = Line(words)
        asked = {name: line.value(f"--{name}") for name in ("steps", "lowest", "highest", "output")}
        request = resolve(line.words)
    from scripts.cli.measure.lr_range_test import find_rate  # imports torch and Lightning

    find_rate(request, {name: value for name, value in asked.items() if value is not None}, debug)


if __name__ == "__main__":
    main(sys.argv[1:])
