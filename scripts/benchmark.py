"""Time a model's training under the Trainer against a plain loop of the same network, or on several devices.

python scripts/benchmark.py --model cnn
python scripts/benchmark.py --model gcn --data Cora --data.root /data
python scripts/benchmark.py --model resnet --devices 1 2 4           speed, efficiency and memory of each number

  --devices N [N ...]      train on so many devices, each number in processes of its own, as fit.py starts them; a
                           step's batch stays --data.batch_size and is shared out (strong scaling)
  --report FILE            train only, on --trainer.devices, and write the figures there: what --devices does for each
"""

import sys
import time
from pathlib import Path

BEGAN = time.perf_counter()

from scripts.cli.command_line.argv import Line  # noqa: E402
from scripts.cli.command_line.recipes import answer_quickly, resolve  # noqa: E402
from scripts.cli.errors import one_line_errors  # noqa: E402 (the clock comes first)
from scripts.cli.measure.scaling import scaling, take_devices  # noqa: E402


def main(words: list[str]) -> None:
    """Run the command line."""
    debug = "--debug" in words
    with one_line_errors(debug):
        if answer_quickly(words, __file__):
            return
        numbers, words = take_devices(words)
        line = Line(list(words))
        report = line.value("--report")
        request = resolve(line.words)
        if numbers:
            scaling(words, numbers)
            return
    from scripts.cli.measure.benchmark import benchmark, measure  # imports torch and Lightning

    if report:
        measure(request, Path(report).absolute(), debug)
    else:
        benchmark(request, BEGAN, debug)


if __name__ == "__main__":
    main(sys.argv[1:])
