import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from torch import distributed

from callbacks.processes import UNLIMITED
from callbacks.watchdog import Watchdog
from scripts.cli.recipes import ROOT

# Does a batch every 50 ms, and hangs after the last.
CODE = """
import sys, time
from types import SimpleNamespace
from callbacks.watchdog import Watchdog

watchdog = Watchdog(seconds=1)
watchdog.setup(SimpleNamespace(global_rank=0, local_rank=0, strategy=SimpleNamespace(launcher=None)))
for batch in range(int(sys.argv[1])):
    watchdog.on_train_batch_end()
    print(batch, flush=True)
    time.sleep(0.05)
print("hangs", flush=True)
time.sleep(60)
"""


def working(batches: int) -> subprocess.Popen[str]:
    """A process that is watched while it does so many batches, and does nothing afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, str(batches)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "0\n"
    return process


def test_a_process_that_was_stopped_for_longer_than_the_time_out_has_not_hung() -> None:
    process = working(40)
    for _ in range(2):
        process.send_signal(signal.SIGSTOP)
        time.sleep(2)
        process.send_signal(signal.SIGCONT)
        time.sleep(0.2)
    out, err = process.communicate(timeout=30)
    assert out.endswith("39\nhangs\n")  # it went through all of them, and was ended by the hang that followed
    assert process.returncode == 1
    assert err.startswith("process 0 has done nothing for 1 s; it is here:\n")


def test_a_hang_counts_from_the_last_batch_whatever_the_clocks_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a machine sleeps, and where its clock is set, each look may seem to come hours after the one before."""
    looks: list[float] = []
    watchdog = Watchdog(10)

    def look(seconds: float) -> None:
        looks.append(seconds)
        now[0] += 3600
        if len(looks) in (5, 13):
            watchdog.on_train_batch_end()

    now, ended = [0.0], []
    monkeypatch.setattr(time, "sleep", look)
    for clock in ("time", "monotonic", "perf_counter"):
        monkeypatch.setattr(time, clock, lambda: now[0])
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(os, "write", lambda *args: None)
    watchdog.watching = True
    watchdog._watch(SimpleNamespace(global_rank=0, local_rank=0, strategy=SimpleNamespace(launcher=None)))  # type: ignore[arg-type]
    assert ended == [1]
    assert sum(looks[13:]) == 10


def test_exchanges_between_processes_do_not_time_out_while_they_are_watched(tmp_path: Path) -> None:
    store = distributed.FileStore(str(tmp_path / "store"), 1)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1, timeout=timedelta(seconds=3))
    try:
        watchdog = Watchdog(1000)
        watchdog.setup(SimpleNamespace(global_rank=0))  # type: ignore[arg-type]
        watchdog.teardown()
        group = distributed.distributed_c10d._get_default_group()
        assert group._get_backend(distributed.distributed_c10d.torch.device("cpu")).options._timeout == UNLIMITED
    finally:
        distributed.destroy_process_group()
