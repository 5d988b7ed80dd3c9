import os
import signal
import time
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

import datamodules.workers
from datamodules.examples import Loader, Rows
from datamodules.workers import workers

hanging = 0  # so many of the next forks hang at once, as where they have inherited a lock that is held


def hang() -> None:
    if hanging:
        time.sleep(600)


def count() -> None:
    global hanging
    hanging = max(0, hanging - 1)


os.register_at_fork(after_in_child=hang, after_in_parent=count)


def load(number: int, rows: Rows) -> Tensor:
    batches = torch.arange(12).split(3)
    context = workers(number)
    loader = Loader(rows, batch_size=None, sampler=batches, num_workers=number, multiprocessing_context=context)  # type: ignore[arg-type]
    return torch.cat(list(loader))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    global hanging
    monkeypatch.setattr(datamodules.workers, "PATIENCE", 0.5)
    yield
    hanging = 0


@pytest.mark.usefixtures("impatient")
def test_one_that_hangs_at_its_start_is_begun_again() -> None:
    global hanging
    hanging = 1
    assert torch.equal(load(2, Rows(torch.arange(12))), torch.arange(12))
    assert hanging == 0


@pytest.mark.usefixtures("impatient")
def test_gives_up_where_all_of_them_hang() -> None:
    global hanging
    hanging = 100
    with pytest.raises(RuntimeError, match="a process that loads data hung at its start, 3 times in a row"):
        load(2, Rows(torch.arange(12)))


class Dying(Rows):
    def __getitem__(self, index: Tensor) -> Tensor:
        os.kill(os.getpid(), signal.SIGKILL)
        return index


def test_one_that_dies_is_still_found_out() -> None:
    with pytest.raises(RuntimeError, match="DataLoader worker"):
        load(1, Dying(torch.arange(12)))


def test_none_are_begun_where_none_are_wanted() -> None:
    assert workers(0) is None
