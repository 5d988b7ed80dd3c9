"""Runs a script that ends with the process which started it, however that one ends.

python -P scripts/cli/sweep/die_with_parent.py PROCESS SCRIPT [WORDS]
"""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":  # the code of the clone that this file is in, whatever is installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from datamodules.loading.die_with_parent import end_with


def main(parent: int, words: list[str]) -> None:
    """Ask to be killed when the parent is gone, and become the script.

    Args:
        parent: process id.
        words: the script, and its command line.
    """
    end_with(parent)
    sys.argv = words
    runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
