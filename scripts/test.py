"""Test a trained model on its own test split, or on other data.

python scripts/test.py --checkpoint lightning_logs/gat/version_0      a run's best checkpoint on its own test split
python scripts/test.py --checkpoint best.ckpt --data my_folder        other data: its test split, or all of it
python scripts/test.py --checkpoint best.ckpt --data june.csv july.csv   several, each by itself
python scripts/test.py --checkpoint best.ckpt --data - < rows.csv     reads the standard input
python scripts/test.py --checkpoint best.ckpt --data.root /data       with other options
python scripts/test.py --checkpoint lightning_logs/gat/version_0 --checkpoint lightning_logs/gat/version_1
                                                              several as one: the mean of their probabilities,
                                                              or with `--average weights` one network of their means
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the code of the clone that this file is in, whatever is installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.cli.command_line.subcommands import run


def main(words: list[str]) -> None:
    """Run the command line."""
    run("test", words)


if __name__ == "__main__":
    main(sys.argv[1:])
