"""Runs a script that ends with the process which started it, however that one ends; on Linux, where this can be asked.

python -P scripts/cli/mortal.py PROCESS SCRIPT [WORDS]
"""

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1  # from Linux's prctl.h


def main(parent: int, words: list[str]) -> None:
    """Ask to be killed when the parent is gone, and become the script.

    Args:
        parent: number of the process.
        words: the script, and its command line.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it was gone before we asked
            sys.exit(128 + signal.SIGKILL)
    sys.argv = words
    runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
