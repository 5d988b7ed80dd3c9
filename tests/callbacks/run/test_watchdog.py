import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import distributed

from callbacks.run.processes import UNLIMITED
from callbacks.run.watchdog import STDERR, Watchdog

ALONE = SimpleNamespace(global_rank=0, local_rank=0, strategy=SimpleNamespace(launcher=None))


def work(batches: int, said: int) -> None:
    """Complete a batch every 50 ms under a watchdog, and hang after the last.

    Args:
        batches: number of batches.
        said: descriptor to which a dot is written for each batch, and the watchdog's message.
    """
    os.dup2(said, STDERR)
    watchdog = Watchdog(seconds=1)
    watchdog.setup(ALONE)  # type: ignore[arg-type]
    for _ in range(batches):
        watchdog.on_train_batch_end()
        os.write(said, b".")
        time.sleep(0.05)
    time.sleep(60)


@pytest.mark.needs("fork")
def test_a_process_that_was_stopped_for_longer_than_the_time_out_has_not_hung() -> None:
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            work(20, writing)
        finally:
            os._exit(3)
    os.close(writing)
    with os.fdopen(reading) as said:
        output = said.read(1)
        for _ in range(2):
            os.kill(process, signal.SIGSTOP)
            time.sleep(1.3)  # longer than the timeout
            os.kill(process, signal.SIGCONT)
            output += said.read(4)
        # It completed all batches, and was ended by the hang that followed.
        assert (output + said.read()).startswith("." * 20 + "process 0 has done nothing for 1 s; it is here:\n")
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 1


def test_a_hang_counts_from_the_last_batch_whatever_the_clocks_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that sleeps, or whose clock is set, intervals may seem to take hours."""
    looks: list[float] = []
    watchdog = Watchdog(10)

    def look(seconds: float) -> None:
        looks.append(seconds)
        now[0] += 3600
        if len(looks) in (5, 13):
            watchdog.on_train_batch_end()

    now: list[float] = [0.0]
    ended: list[int] = []
    monkeypatch.setattr(time, "sleep", look)
    for clock in ("time", "monotonic", "perf_counter"):
        monkeypatch.setattr(time, clock, lambda: now[0])
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(os, "write", lambda *args: None)
    watchdog.watching = True
    watchdog.watch(ALONE)  # type: ignore[arg-type]
    assert ended == [1]
    assert sum(looks[13:]) == 10


def test_exchanges_between_processes_do_not_time_out_while_they_are_watched(tmp_path: Path) -> None:
    store = distributed.FileStore(str(tmp_path / "store"), 1)  # type: ignore[attr-defined]
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1, timeout=timedelta(seconds=3))
    try:
        watchdog = Watchdog(1000)
        watchdog.setup(ALONE)  # type: ignore[arg-type]
        watchdog.teardown()
        group = distributed.distributed_c10d._get_default_group()
        assert group._get_backend(torch.device("cpu")).options._timeout == UNLIMITED
    finally:
        distributed.destroy_process_group()
