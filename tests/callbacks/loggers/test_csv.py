import csv
import errno
from pathlib import Path
from typing import Any

import pytest

from callbacks.loggers.csv import CSVLogger
from callbacks.run.run_folder import RunFolder


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def logger(tmp_path: Path) -> CSVLogger:
    return CSVLogger(RunFolder(tmp_path))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds."""
    now = [100.0]
    monkeypatch.setattr("callbacks.loggers.csv.time.monotonic", lambda: now[0])
    return now


def test_metrics_of_one_step_share_a_row_and_new_ones_get_a_column(logger: CSVLogger, tmp_path: Path) -> None:
    logger.log_metrics({"train/loss": 1.0, "epoch": 0}, step=3)
    logger.log_metrics({"val/loss": 2.0}, step=3)
    logger.log_metrics({"train/loss": 0.5}, step=4)
    logger.save()
    assert len(rows(tmp_path)) == 1  # the newest row may still grow
    logger.log_metrics({"test/f1": 0.25}, step=4)
    logger.finalize("success")
    assert rows(tmp_path) == [
        {"epoch": "0", "step": "3", "train/loss": "1.0", "val/loss": "2.0", "test/f1": ""},
        {"epoch": "", "step": "4", "train/loss": "0.5", "val/loss": "", "test/f1": "0.25"},
    ]


def test_the_file_is_written_once_a_second(logger: CSVLogger, tmp_path: Path, clock: list[float]) -> None:
    sizes = []
    for step in range(100):
        clock[0] += 0.1
        logger.log_metrics({"loss": 1.0}, step)
        logger.save()
        sizes.append(logger.path.stat().st_size if logger.path.exists() else 0)
    assert len({*sizes}) == 10
    logger.finalize("success")
    assert [int(row["step"]) for row in rows(tmp_path)] == list(range(100))


@pytest.mark.parametrize("arrived", [0, 2])
def test_rows_that_a_network_file_system_does_not_take_wait_for_the_next_time(
    arrived: int, logger: CSVLogger, tmp_path: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(csv.DictWriter):  # type: ignore[type-arg]
        def writerows(self, rows: Any) -> None:
            super().writerows(list(rows)[:arrived])
            raise OSError(errno.ESTALE, "Stale file handle")

    for step in range(6):
        logger.log_metrics({"loss": 1.0}, step)
        if step == 1:
            logger.save()
    clock[0] += 2
    with monkeypatch.context() as failing:
        failing.setattr(csv, "DictWriter", Failing)
        logger.save()
    logger.finalize("success")
    assert [int(row["step"]) for row in rows(tmp_path)] == list(range(6))
    assert logger.written == 6


def resumed(folder: Path, checkpoint: dict[str, Any]) -> CSVLogger:
    logger = CSVLogger(RunFolder(folder))
    logger.on_load_checkpoint(checkpoint)
    return logger


def test_a_resumed_run_replaces_what_was_logged_after_its_checkpoint(logger: CSVLogger, tmp_path: Path) -> None:
    checkpoint: dict[str, Any] = {"global_step": 3}
    for step in range(5):
        logger.log_metrics({"loss": float(step)}, step)
        if step == 2:
            logger.on_save_checkpoint(checkpoint)
    logger.log_metrics({"late": 1.0}, 4)
    logger.finalize("failed")
    again = resumed(tmp_path, checkpoint)
    again.log_metrics({"loss": 30.0}, 3)
    again.finalize("success")
    assert [row["loss"] for row in rows(tmp_path)] == ["0.0", "1.0", "2.0", "30.0"]
    assert "late" not in rows(tmp_path)[0]


def test_what_was_logged_before_a_run_without_this_logger_is_kept(logger: CSVLogger, tmp_path: Path) -> None:
    for step in range(4):
        logger.log_metrics({"loss": float(step)}, step)
    logger.finalize("success")
    again = resumed(tmp_path, {"global_step": 3})  # saved with --logger none
    again.log_metrics({"loss": 30.0}, 3)
    again.finalize("success")
    assert [row["loss"] for row in rows(tmp_path)] == ["0.0", "1.0", "2.0", "30.0"]
    (tmp_path / "metrics.csv").unlink()
    again = resumed(tmp_path, {"global_step": 3})
    again.log_metrics({"loss": 4.0}, 4)
    again.finalize("success")
    assert [row["step"] for row in rows(tmp_path)] == ["4"]
