"""Draw the learning rate over a run's steps, without training.

python scripts/schedule.py --model transformer
python scripts/schedule.py --model cnn --model.schedule cosine --model.warmup 0.1 --trainer.max_epochs 5
python scripts/schedule.py --model gan --model.schedule linear --output linear.png

Takes the options of fit.py, and --output, a PNG file: NAME_schedule.png by default.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the code of the clone that this file is in, whatever is installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.cli.command_line.subcommands import run


def main(words: list[str]) -> None:
    """Run the command line."""
    run("schedule", words)


if __name__ == "__main__":
    main(sys.argv[1:])
