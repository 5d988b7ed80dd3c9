"""Time a model's training under the Trainer against a plain loop of the same network, in one run.

python scripts/benchmark.py --model cnn
python scripts/benchmark.py --model gcn --data Cora --data.root /data
"""

import sys
import time

BEGAN = time.perf_counter()

from scripts.cli.errors import one_line_errors  # noqa: E402 (the clock comes first)
from scripts.cli.recipes import answer_quickly, resolve  # noqa: E402


def main(words: list[str]) -> None:
    """Run the command line."""
    debug = "--debug" in words
    with one_line_errors(debug):
        if answer_quickly(words, __file__):
            return
        request = resolve(words)
    from scripts.cli.benchmark import benchmark  # imports torch and Lightning

    benchmark(request, BEGAN, debug)


if __name__ == "__main__":
    main(sys.argv[1:])
