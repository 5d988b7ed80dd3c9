"""Train on a SLURM cluster: write the sbatch script of a run and submit it. All options of fit.py are options here.

python scripts/submit.py --model resnet --nodes 2 --gpus-per-node 8 --time 04:00:00
python scripts/submit.py --model gat --time 01:00:00 --partition gpu --data.batch_size 64      on one GPU
python scripts/submit.py --model mlp --nodes 2 --tasks-per-node 4 --time 30                    on CPUs
python scripts/submit.py --model gat --time 01:00:00 --dry-run                 prints the script, submits nothing

  --nodes N                machines (1)
  --gpus-per-node N        GPUs of each, a task for each (1; with --tasks-per-node none)
  --tasks-per-node N       tasks on each machine, on CPUs
  --cpus-per-task N        CPUs and threads of each task (on GPUs as the cluster has it, else 1)
  --time LIMIT             minutes, hours:minutes:seconds or days-hours:minutes:seconds (as the partition has it)
  --grace SECONDS          before the limit, when the run saves, stops and is put back into the queue (120)
  --partition, --account, --qos, --constraint, --mem
                           as sbatch has them
  --sbatch NAME[=VALUE]    any other option of sbatch, without its dashes; may be given again
  --dry-run                print the script

The job's script and output are lightning_logs/<model>/slurm-<job>.sh and .out.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the code of the clone that this file is in, whatever is installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.cli.command_line.subcommands import run


def main(words: list[str]) -> None:
    """Run the command line."""
    run("submit", words)


if __name__ == "__main__":
    main(sys.argv[1:])
