"""Test a trained model, from its checkpoint alone.

python scripts/test.py --checkpoint lightning_logs/gat/version_0      a run's best checkpoint on its own test split
python scripts/test.py --checkpoint best.ckpt --data my_folder        other data: its test split, or all of it
python scripts/test.py --checkpoint best.ckpt --data.root /data       with other options
python scripts/test.py --checkpoint lightning_logs/gat/version_0 --checkpoint lightning_logs/gat/version_1
                                                              several as one: the mean of their probabilities,
                                                              or with `--average weights` one network of their means
"""

import sys

from scripts.cli.command_line.argv import Line, answer_help
from scripts.cli.command_line.recipes import WHICH_MODEL
from scripts.cli.errors import UsageError, one_line_errors


def main(words: list[str]) -> None:
    """Run the command line."""
    debug = "--debug" in words
    with one_line_errors(debug):
        if answer_help(words, __file__):
            return
        line = Line(words)
        checkpoints = [*line.values("--checkpoint")]
        average, dataset = line.value("--average"), line.value("--data")
        if not checkpoints:
            raise UsageError(WHICH_MODEL)
    from scripts.cli.evaluate.testing import test  # imports torch and Lightning

    test(checkpoints, average, dataset, line.words, debug)


if __name__ == "__main__":
    main(sys.argv[1:])
