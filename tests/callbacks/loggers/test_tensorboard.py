import shutil
import threading
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from callbacks.loggers.tensorboard import Dashboard


@pytest.mark.parametrize("again", [False, True])
def test_events_neither_fail_nor_go_elsewhere_when_their_folder_is_gone(
    again: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    logger = Dashboard(tmp_path, name="mlp", version="version_0")
    folder = tmp_path / "mlp" / "version_0"
    logger.log_metrics({"loss": 1.0}, 0)
    logger.flush()
    shutil.rmtree(folder)
    if again:
        folder.mkdir()
    for step in range(1, 4):
        logger.log_metrics({"loss": 1.0}, step)
        logger.flush()
    logger.finalize("success")
    assert failed == []
    assert not folder.exists() or list(folder.iterdir()) == []


def test_events_are_whole_and_further_ones_come_after_the_end(tmp_path: Path) -> None:
    logger = Dashboard(tmp_path, name="mlp", version="version_0")
    for step in range(5):
        logger.log_metrics({"loss": float(step)}, step)
    logger.finalize("success")
    logger.log_metrics({"test/loss": 7.0}, 5)  # a test follows
    logger.finalize("success")
    found = EventAccumulator(str(tmp_path / "mlp" / "version_0")).Reload()
    assert [event.value for event in found.Scalars("loss")] == [0, 1, 2, 3, 4]
    assert [event.value for event in found.Scalars("test/loss")] == [7]
