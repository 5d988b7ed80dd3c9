import os
import signal

import pytest
import torch

from datamodules.errors import DataError
from datamodules.loading.parallel import in_parallel
from datamodules.loading.workers import workers
from scripts.cli.errors import one_line_errors

FORKS = pytest.mark.skipif(workers(1) is None, reason="this system has no forks")


def made(rows: range) -> tuple[list[int], int]:
    if 77 in rows:
        raise DataError("row 77: is refused")
    return [*rows], os.getpid()


@pytest.mark.parametrize("few", [0, 100])
@pytest.mark.parametrize(("size", "together"), [(50, 7), (1, 7), (0, 7), (21, 7), (3, 1)])
def test_each_row_is_worked_on_once_and_in_order(size: int, together: int, few: int) -> None:
    parts = [*in_parallel(made, size, together, few)]
    assert [row for rows, _ in parts for row in rows] == [*range(size)]
    assert all(len(rows) == together for rows, _ in parts[:-1])


@FORKS
@pytest.mark.parametrize(("few", "processes"), [(50, 2), (51, 1)])
def test_many_rows_are_shared_among_processes(monkeypatch: pytest.MonkeyPatch, few: int, processes: int) -> None:
    monkeypatch.setattr("datamodules.loading.parallel.num_cpus", lambda: 2)
    found = {process for _, process in in_parallel(made, 50, 7, few)}
    assert len(found) == processes
    assert (os.getpid() in found) == (processes == 1)


@pytest.mark.parametrize("few", [0, 1000])
def test_what_is_refused_is_one_line_after_the_parts_before_it(few: int) -> None:
    parts = in_parallel(made, 100, 10, few)
    assert [next(parts)[0][0] for _ in range(7)] == [0, 10, 20, 30, 40, 50, 60]
    with pytest.raises(DataError, match=r"^row 77: is refused$"):
        next(parts)


def test_random_numbers_that_follow_are_the_same() -> None:
    before = torch.random.get_rng_state()
    assert [*in_parallel(made, 50, 7, 0)]
    assert torch.equal(before, torch.random.get_rng_state())


def killed(rows: range) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@FORKS
def test_a_process_that_is_killed_is_told_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, one_line_errors(debug=False):
        list(in_parallel(killed, 50, 7, 0))
    assert ended.value.code == 1
    told = capfd.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith("error: a process that loads data was killed, perhaps for lack of memory (")
