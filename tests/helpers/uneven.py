"""Stops a run of two processes within a validation of which one has a batch more."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from torch import distributed

from callbacks.run.checkpoints import Checkpoints
from tests.helpers.stopping import compare, train

WORDS = [
    *("--model", "mlp", "--data.batch_size", "11", "--trainer.limit_train_batches", "4", "--trainer.max_epochs", "2"),
    *("--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.enable_progress_bar", "false"),
    *("--trainer.log_every_n_steps", "1"),
]
CASES = [(1, 2), (1, 4), (0, 5)]  # the process that is sent a signal, and in which batch: the last is its own


@contextmanager
def signalled(rank: int, batch: int, seen: list[int]) -> Iterator[None]:
    """Within this, a process is sent a real signal in the first validation; `seen` takes the index of every batch."""
    original = Checkpoints.on_validation_batch_end

    def signalling(
        self: Checkpoints, trainer: Any, module: Any, outputs: Any, data: Any, index: int, *args: Any
    ) -> None:
        if not trainer.sanity_checking:
            seen.append(index)
            if (trainer.current_epoch, trainer.global_rank, index) == (0, rank, batch):
                os.kill(os.getpid(), signal.SIGTERM)
        original(self, trainer, module, outputs, data, index, *args)

    with patch.object(Checkpoints, "on_validation_batch_end", signalling):
        yield


def main(folder: Path) -> None:
    """Write how many batches each process had, and what differs after each case."""
    seen: list[int] = []
    with signalled(-1, -1, seen):
        assert train([*WORDS, "--logs", str(folder / "whole")]) == 0
    counts: list[Any] = [None, None]
    distributed.all_gather_object(counts, max(seen) + 1)
    found: dict[str, Any] = {"batches": counts, "unlike": {}}
    for rank, batch in CASES:
        logs = folder / f"{rank} {batch}"
        seen.clear()
        with signalled(rank, batch, seen):
            assert train([*WORDS, "--logs", str(logs)]) == 128 + signal.SIGTERM
        assert seen == list(range(min(batch + 1, counts[distributed.get_rank()])))
        assert train(["--resume", str(logs / "mlp" / "version_0")]) == 0
        distributed.barrier()  # the first process writes; the other reads
        found["unlike"][f"{rank} {batch}"] = compare(*(path / "mlp" / "version_0" for path in (folder / "whole", logs)))
    if distributed.get_rank() == 0:
        (folder / "found.json").write_text(json.dumps(found))
