"""Time a model's training under the Trainer against a plain loop of the same network, or on several devices.

python scripts/benchmark.py --model cnn
python scripts/benchmark.py --model gcn --data Cora --data.root /data
python scripts/benchmark.py --model resnet --devices 1 2 4           speed, efficiency and memory of each number

  --devices N [N ...]      train on these numbers of devices, each in processes of its own, as fit.py starts them; a
                           step's batch stays --data.batch_size and is sharded (strong scaling)
  --report FILE            train only, on --trainer.devices, and write the figures there: what --devices does for each
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the code of the clone that this file is in, whatever is installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.cli.command_line.subcommands import run


def main(words: list[str]) -> None:
    """Run the command line."""
    run("benchmark", words)


if __name__ == "__main__":
    main(sys.argv[1:])
