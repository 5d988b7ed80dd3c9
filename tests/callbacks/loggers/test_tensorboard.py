import queue
import shutil
import threading
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer.event_file_writer import _AsyncWriterThread
from tensorboard.summary.writer.record_writer import RecordWriter

from callbacks.loggers.tensorboard import TensorBoardLogger, placed, rates_as_one
from callbacks.run.run_folder import RunFolder


@pytest.mark.parametrize("again", [False, True])
def test_events_neither_fail_nor_go_elsewhere_when_their_folder_is_gone(
    again: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    folder = tmp_path / "mlp" / "version_0"
    logger = TensorBoardLogger(RunFolder(folder))
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


def test_events_are_complete_and_further_ones_follow_the_end(tmp_path: Path) -> None:
    logger = TensorBoardLogger(RunFolder(tmp_path))
    for step in range(5):
        logger.log_metrics({"loss": float(step)}, step)
    logger.finalize("success")
    logger.log_metrics({"later": 7.0}, 5)  # as of a test that follows
    logger.finalize("success")
    found = EventAccumulator(str(tmp_path)).Reload()
    assert [event.value for event in found.Scalars("loss")] == [0, 1, 2, 3, 4]
    assert [event.value for event in found.Scalars("later")] == [7]


def test_the_groups_behind_train_and_val_sort_behind_them() -> None:
    names = ["machine/host_memory_gb", "optimizer/learning_rate", "test/mistakes", "train/loss", "val/loss"]
    assert sorted(map(placed, names)) == [
        *("train/loss", "val/loss"),
        *("» machine/host_memory_gb", "» optimizer/learning_rate", "» test/mistakes"),
    ]
    assert placed("train/gradient_norm") == "» optimizer/gradient_norm"


@pytest.mark.parametrize(
    ("rates", "shown"),
    [
        ({"lr-AdamW/weights": 0.1, "lr-AdamW/biases": 0.1}, {"optimizer/learning_rate": 0.1}),
        (
            {"lr-AdamW/head": 0.1, "lr-AdamW/backbone": 0.01},
            {"optimizer/learning_rate": 0.1, "optimizer/learning_rate/AdamW/backbone": 0.01},
        ),
        ({}, {}),
    ],
)
def test_learning_rates_that_agree_are_one_curve(rates: dict[str, float], shown: dict[str, float]) -> None:
    assert rates_as_one({"train/loss": 1.0, **rates}) == {"train/loss": 1.0, **shown}


def test_scores_of_the_test_are_no_charts_but_a_text(tmp_path: Path) -> None:
    logger = TensorBoardLogger(RunFolder(tmp_path))
    scores = {"epoch": 3.0, "test/loss": 0.25, "test/f1": 0.5, "baseline/f1": 0.125, "baseline/seasonal_mae": 2.0}
    logger.log_metrics(scores, 9)
    logger.finalize("success")
    found = EventAccumulator(str(tmp_path)).Reload()
    assert found.Tags()["scalars"] == []
    (text,) = found.Tensors("run/scores/text_summary")[0].tensor_proto.string_val
    assert text.decode().splitlines() == [
        "|  | test | baseline |",
        "| --- | ---: | ---: |",
        "| loss | 0.25 |  |",
        "| f1 | 0.5 | 0.125 |",
        "| seasonal_mae |  | 2 |",
    ]


def test_a_resumed_run_replaces_what_was_logged_after_its_checkpoint(tmp_path: Path) -> None:
    first, second = TensorBoardLogger(RunFolder(tmp_path)), TensorBoardLogger(RunFolder(tmp_path))
    for step in range(5):
        first.log_metrics({"loss": float(step)}, step)
    first.finalize("failed")
    second.on_load_checkpoint({"global_step": 3})
    second.log_metrics({"loss": 30.0}, 3)
    second.finalize("success")
    found = EventAccumulator(str(tmp_path)).Reload()
    assert [event.value for event in found.Scalars("loss")] == [0, 1, 2, 30]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk here that is always full")
def test_a_full_disk_is_an_error_of_the_run_and_no_traceback_of_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    with open("/dev/full", "wb", buffering=0) as full:
        thread = _AsyncWriterThread(queue.Queue(), RecordWriter(full), 0)
        thread._queue.put(b"event")
        thread.start()
        thread.join(10)
    assert isinstance(thread.exception, OSError)
    assert failed == []
