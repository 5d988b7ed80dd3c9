"""Time runs against plain loops of the same networks, or on several devices; or how their time and memory grow.

python scripts/benchmark.py                                         a table of ten models, in half an hour or less
python scripts/benchmark.py --only mlp cnn --json now.json          some of them; the figures as JSON
python scripts/benchmark.py --compare before.json                   what has become slower; exit status 1 then
python scripts/benchmark.py --growth                                time and memory of 1×, 4× and 16× data
python scripts/benchmark.py --model gcn --data Cora --data.root /data     one model, with its own metrics on both sides
python scripts/benchmark.py --model resnet --devices 1 2 4          speed, efficiency and memory of each number

  --only NAME [NAME ...]   of the table's models, or of the kinds of data that --growth has
  --json FILE              write the figures, and the machine, there
  --compare FILE           such a file of before, to compare the ratios with
  --growth                 measure how each step's time and the memory grow with the data
  --devices N [N ...]      train on these numbers of devices, each in processes of its own, as fit.py starts them; a
                           step's batch stays --data.batch_size and is sharded (strong scaling)
  --report FILE            train only, on --trainer.devices, and write the figures there: what --devices does for each

Further options are those of fit.py, for every run; with --data.root the table takes published data where it is.
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
