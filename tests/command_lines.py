"""One process of two, that carries out command lines in turn; test_processes.py starts it with torchrun."""

import json
import sys
from pathlib import Path

from scripts.cli.recipes import resolve
from scripts.cli.training import fit

if __name__ == "__main__":
    for words in json.loads(Path(sys.argv[1]).read_text()):
        fit(resolve(words))
