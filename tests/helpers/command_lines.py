"""One process of two, that carries out command lines in turn; test_processes.py starts it with torchrun.

Each stands beside the number of steps after which the run is stopped, or null.
"""

import json
import signal
import sys
from pathlib import Path

from tests.helpers.stopping import train

if __name__ == "__main__":
    for words, stop in json.loads(Path(sys.argv[1]).read_text()):
        status = train(words, stop)
        assert status == (0 if stop is None else 128 + signal.SIGTERM), (status, words)
