"""Cross-validate: train as many times as there are folds, and test each time on another fold.

python scripts/cross_validate.py --model gat --folds 10 --data MUTAG
python scripts/cross_validate.py --model mlp --folds 5 --data rows.csv --model.dropout 0.3
python scripts/cross_validate.py --resume lightning_logs/gat/folds_0        resume what was stopped, as it was

Whoever resumes what was started with --allow gives it again: no file allows anything.

All options of fit.py are options here. Each fold is a process of its own, whose run is in
lightning_logs/<model>/folds_N/fold_K/; scores.csv there has each fold's test metrics, their mean and
their standard deviation.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the code of the clone that this file is in, whatever is installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.cli.command_line.subcommands import run


def main(words: list[str]) -> None:
    """Run the command line."""
    run("cross_validate", words)


if __name__ == "__main__":
    main(sys.argv[1:])
