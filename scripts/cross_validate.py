"""Cross-validate: train as many times as there are folds, and test each time on another fold.

python scripts/cross_validate.py --model gat --folds 10 --data MUTAG
python scripts/cross_validate.py --model mlp --folds 5 --data rows.csv --model.dropout 0.3
python scripts/cross_validate.py --resume lightning_logs/gat/folds_0        resume what was stopped, as it was

Whoever resumes what was started with --allow gives it again: no file allows anything.

All options of fit.py are options here. Each fold is a process of its own, whose run lies in
lightning_logs/<model>/folds_N/fold_K/; beside them stands scores.csv, with each fold's test metrics, their mean and
their standard deviation.
"""

import sys

from scripts.cli.command_line.argv import Line, answer_help
from scripts.cli.command_line.recipes import answer_quickly
from scripts.cli.errors import UsageError, one_line_errors


def main(words: list[str]) -> None:
    """Run the command line."""
    debug = "--debug" in words
    with one_line_errors(debug):
        if answer_quickly(words, __file__) or answer_help(words, __file__):
            return
        line = Line(words)
        resumed, folds = line.value("--resume"), line.value("--folds")
        allowed = list(line.values("--allow")) if resumed is not None else []
        rest = [word for word in line.words if word != "--debug"]
        if resumed is not None and (folds or rest):
            raise UsageError(f"--resume {resumed} and {(['--folds'] if folds else rest)[0]} contradict each other")
        if resumed is None and folds is None:
            raise UsageError("how many folds? Give --folds, a number")
        if folds is not None and (not folds.isdecimal() or int(folds) < 2):
            raise UsageError(f"--folds: expected a whole number of at least 2, got {folds}")
    from scripts.cli.sweep.cross_validation import cross_validate, go_on  # imports torch and Lightning

    if resumed is not None:
        go_on(resumed, allowed, debug)
    elif folds is not None:
        cross_validate(rest, int(folds), debug)


if __name__ == "__main__":
    main(sys.argv[1:])
