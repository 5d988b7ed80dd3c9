"""List the runs, compare some of them, report on one, find the best one, or delete what is not needed any more.

python scripts/runs.py list
python scripts/runs.py list --model gat --sort -accuracy             the best test score first
python scripts/runs.py compare lightning_logs/gat/version_0 lightning_logs/gat/version_1
python scripts/test.py --checkpoint "$(python scripts/runs.py best --model gat --data MUTAG)"
python scripts/runs.py clean                                         what would go; --yes deletes it

A run is its folder, as seen from here or under lightning_logs/; that of a trial, or of a fold, is enough. A server is
not needed: what stands in the folders is read.

  --logs FOLDER        the runs under this folder, instead of lightning_logs/
  --model NAME         those of this model; several may be given
  --data NAME          those on this data set, file or folder; several may be given

list: a table; a run is finished, partial (limits left out some data), running, stopped (it can be resumed), failed
(before its first checkpoint), damaged or unreadable
  --status STATUS      those with this status; several may be given
  --sort COLUMN        by a column, a metric (val/loss, accuracy) or a setting (model.dropout); -COLUMN: largest first
  --format FORMAT      table, csv or json

compare RUN RUN ...: the settings, code and data that differ, curves, and test scores with 95 % intervals; whether the
difference from the first run is more than chance, where all were tested on the same examples
  --output FILE        the page with the curves (comparison.html)
  --format FORMAT      table or json

report RUN: the report of a run once more, as it stands by now
  --lang LANGUAGE      en, zh, or auto, that of the system
  --output FILE        the page (report.html in the run's folder)

best [RUN ...]: the folder of the best run, for --checkpoint
  --metric NAME        by this metric: val/NAME, its best value in training, or NAME, the test score; by default by the
                       one that the runs monitor
  --partial            those that saw only a part of the data, too

clean: the runs that failed before their first checkpoint, and
  --older DAYS         finished runs that were written before that; what failed after that stays, too
  --keep N             finished runs, but the best N of each model and data set
  --stopped            runs that were stopped and could be resumed
  --checkpoints        of the finished runs that stay, all checkpoints but the best
  --yes                delete them
A run that a process writes, that holds files of yours, that another run started from (--model.pretrained), or that a
cross-validation consists of, stays.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the code of the clone that this file is in, whatever is installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.cli.command_line.subcommands import run


def main(words: list[str]) -> None:
    """Run the command line."""
    run("runs", words)


if __name__ == "__main__":
    main(sys.argv[1:])
