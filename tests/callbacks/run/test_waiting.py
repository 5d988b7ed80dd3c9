"""It is told where training waits for batches that more processes would load, and nowhere else."""

from types import SimpleNamespace
from typing import Any

import pytest

from callbacks.run.waiting import WaitingForData
from datamodules.images import Images


@pytest.mark.parametrize(
    ("workers", "spare", "waits", "told"),
    [(0, 3, 0.5, True), (1, 3, 0.5, True), (3, 3, 0.5, False), (0, 0, 0.5, False), (0, 3, 0.1, False)],
)
def test_it_is_told_where_it_is_true(
    workers: int, spare: int, waits: float, told: bool, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    now = [0.0]
    monkeypatch.setattr("callbacks.run.waiting.time.perf_counter", lambda: now[0])
    data = Images("digits")
    monkeypatch.setattr(data, "spare_workers", lambda examples: spare)
    loader = SimpleNamespace(dataset=None, num_workers=workers)
    trainer: Any = SimpleNamespace(datamodule=data, train_dataloader=loader, current_epoch=0)
    model: Any = None
    callback = WaitingForData()
    for epoch in range(2):
        trainer.current_epoch = epoch
        callback.on_train_epoch_start(trainer, model)
        for index in range(101):
            now[0] += waits
            callback.on_train_batch_start(trainer, model, None, index)
            now[0] += 1 - waits
            callback.on_train_batch_end(trainer)
        callback.on_train_epoch_end(trainer, model)
    shown = capsys.readouterr().err
    assert shown.count("waiting for batches") == told
    if told:
        assert f"50% of the first epoch's time went on waiting for batches, with --data.num_workers {workers}" in shown
        assert f"{spare} would wait less" in shown
