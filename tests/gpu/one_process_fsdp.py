"""Trains with fsdp on one process, which fit.py refuses: so what it does on a GPU is tried where there is only one."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from scripts.cli.distributed.fsdp import FSDPStrategy
from scripts.cli.run import trainer
from tests.helpers.two_processes import main


def _alone(*args: Any) -> FSDPStrategy:
    return FSDPStrategy(timeout=timedelta(minutes=1))


picked_alone = patch.object(trainer, "pick_strategy", _alone)

if __name__ == "__main__":
    with picked_alone:
        main(Path(sys.argv[1]), sys.argv[2:])
