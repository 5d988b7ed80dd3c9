"""Train a model on its data, test the best checkpoint, and log it all under lightning_logs/.

python scripts/fit.py --list                          every model, what it expects and how long it takes
python scripts/fit.py --list --course                 the pages of the course, in its order, with their commands
python scripts/fit.py --model gat                     train it on the data that comes with it
python scripts/fit.py --model gat --data MUTAG        on published data, or on a path with your own
python scripts/fit.py --model gat --data my_folder --check      show what is understood of it; train nothing
python scripts/fit.py --model gat --help              its options; --help_all: all of the Trainer's, too
python scripts/fit.py --model gat --model.num_heads 4 --data.batch_size 32 --trainer.max_epochs 10
python scripts/fit.py --config lightning_logs/gat/version_0/config.yaml      repeat a run
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the code of the clone that this file is in, whatever is installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.cli.command_line.subcommands import run


def main(words: list[str]) -> None:
    """Run the command line."""
    run("fit", words)


if __name__ == "__main__":
    main(sys.argv[1:])
