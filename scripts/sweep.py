"""Search for good settings: train a model again and again, each trial with other ones.

All options of fit.py are options here; those that are given are not searched.

python scripts/sweep.py --model mlp --trials 20
python scripts/sweep.py --model gat --trials 50 --data MUTAG --trainer.max_epochs 30
python scripts/sweep.py --model cnn --trials 20 --space mine.yaml
python scripts/sweep.py --resume lightning_logs/mlp/sweep_0 [--trials 40]      resume, or try more

python scripts/sweep.py --resume lightning_logs/mlp/sweep_0 --worker 1      beside others, each with its own number
python scripts/sweep.py --model mlp --trials 50 --worker '$SLURM_ARRAY_TASK_ID'
                                                  the tasks of a SLURM array carry out one sweep together

Whoever resumes a sweep that was started with --allow gives it again: no file allows anything.

  --trials N       how many trials
  --space FILE     what to try, instead of what the recipe says under `about: sweep:` (or, where it says nothing,
                   learning rates from a tenth of its own to ten times that):
                       model.optimizer.init_args.lr: {log: [0.0001, 0.01]}
                       model.dropout: {uniform: [0, 0.5]}
                       model.num_layers: {int: [1, 4]}
                       data.batch_size: {choice: [32, 64]}
  --unpruned N     trials that run to their end before any is pruned (5)

A trial whose metric falls behind the median of those before it is stopped. Everything is under
lightning_logs/<model>/sweep_N/: a folder a trial, trials.csv and trials.png. The metric is the one that the model
monitors on the validation split.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the code of the clone that this file is in, whatever is installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.cli.command_line.subcommands import run


def main(words: list[str]) -> None:
    """Run the command line."""
    run("sweep", words)


if __name__ == "__main__":
    main(sys.argv[1:])
