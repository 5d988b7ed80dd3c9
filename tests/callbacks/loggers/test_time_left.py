from collections.abc import Callable
from typing import Any

import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Timer

from callbacks.loggers.time_left import (
    UNKNOWN,
    Pace,
    batches_left,
    clock,
    duration,
    epochs_of,
    limit_left,
    steps_of,
    validations_left,
)


def trainer_of(batches: float, epoch: int = 0, step: int = 0, interval: Any = 1.0, **options: Any) -> Any:
    """A trainer as it is in an epoch of so many batches."""
    trainer = Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, **options,
    )  # fmt: skip
    loop = trainer.fit_loop
    loop.max_batches = batches
    loop.epoch_progress.current.completed = epoch
    loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total.completed = step
    trainer.val_check_batch = interval if isinstance(interval, int) else batches * interval
    assert (trainer.num_training_batches, trainer.current_epoch, trainer.global_step) == (batches, epoch, step)
    return trainer


@pytest.mark.parametrize(
    ("options", "epochs"),
    [
        ({"max_epochs": 4}, 4),
        ({"max_steps": 25}, 3),  # of ten
        ({"max_epochs": 2, "max_steps": 25}, 2),
        ({"max_epochs": 9, "max_steps": 25}, 3),
        ({"max_steps": 25, "accumulate_grad_batches": 3}, 7),  # of four, the last of which has one batch
        ({"max_epochs": -1}, None),
        ({"max_epochs": -1, "max_time": "00:01:00:00"}, None),
    ],
)
def test_the_number_of_epochs_is_known_from_that_of_epochs_or_of_steps(
    options: dict[str, Any], epochs: int | None
) -> None:
    assert epochs_of(trainer_of(10, **options)) == epochs


def test_a_stream_of_unknown_length_has_as_many_epochs_as_are_asked_for() -> None:
    assert epochs_of(trainer_of(UNKNOWN, max_epochs=3)) == 3
    assert epochs_of(trainer_of(UNKNOWN, max_steps=30)) is None
    assert steps_of(trainer_of(UNKNOWN, max_steps=30), 7) == 7


def test_the_last_step_of_an_epoch_may_have_fewer_batches() -> None:
    trainer = trainer_of(10, max_epochs=1, accumulate_grad_batches=4)
    assert [steps_of(trainer, done) for done in (0, 3, 4, 8, 9, 10)] == [0, 0, 1, 2, 2, 3]


def test_what_is_left_ends_with_the_epochs_or_the_steps_whichever_is_first() -> None:
    assert batches_left(trainer_of(10, epoch=1, max_epochs=3), 4, 1) == 16
    assert batches_left(trainer_of(10, epoch=1, step=14, max_epochs=3, max_steps=20), 4, 1) == 6
    assert batches_left(trainer_of(10, epoch=0, step=2, max_steps=5, accumulate_grad_batches=3), 6, 3) == 9
    assert batches_left(trainer_of(UNKNOWN, max_epochs=1), 4, 1) == UNKNOWN
    assert batches_left(trainer_of(10, max_epochs=-1), 4, 1) == UNKNOWN


@pytest.mark.parametrize(
    ("batches", "epoch", "done", "left", "options", "expected"),
    [
        (10, 0, 0, 30, {}, 3),
        (10, 0, 9, 21, {}, 3),
        (10, 0, 10, 20, {}, 2),  # that of this epoch has begun
        (10, 1, 5, 8, {}, 1),  # until step 23
        (10, 0, 0, 30, {"check_val_every_n_epoch": 2}, 1),
        (10, 2, 9, 21, {"check_val_every_n_epoch": 2}, 1),
        (10, 0, 5, 15, {"interval": 4}, 3),  # after 8, and 14 and 18
        (10, 1, 5, 35, {"interval": 25, "check_val_every_n_epoch": None}, 2),
        (UNKNOWN, 0, 5, 35, {}, 0),
        (UNKNOWN, 0, 5, 35, {"interval": 20}, 2),
    ],
)
def test_validations_are_expected_where_they_come(
    batches: float, epoch: int, done: int, left: float, options: dict[str, Any], expected: int
) -> None:
    assert validations_left(trainer_of(batches, epoch, max_epochs=9, **options), done, left, begun=True) == expected


def test_a_validation_that_is_due_and_has_not_begun_is_left() -> None:
    trainer = trainer_of(10, max_epochs=3)
    assert [validations_left(trainer, 10, 20, begun) for begun in (False, True)] == [3, 2]
    assert validations_left(trainer_of(10, epoch=1, max_epochs=3), 0, 20, begun=False) == 2


def test_max_time_ends_a_run_whose_length_is_not_known_otherwise() -> None:
    assert limit_left(trainer_of(10, max_epochs=2)) == UNKNOWN
    assert limit_left(trainer_of(10, callbacks=[Timer("00:00:00:05")])) == 5
    assert limit_left(trainer_of(10, callbacks=[Timer("00:00:00:00")])) == 0


def test_a_pace_is_that_of_the_newest() -> None:
    pace = Pace(3)
    assert pace.seconds(1.0, 0) is None
    for seconds, done in ((10, 1), (20, 2), (20.5, 3), (21, 4)):
        pace.add(seconds, done)
    assert pace.seconds(21.5, 5) == 0.5  # the ten seconds are forgotten


@pytest.mark.parametrize(
    ("form", "seconds", "text"),
    [
        (clock, 0.4, "0:00"),
        (clock, 12.3, "0:12"),
        (clock, 3599.6, "1:00:00"),
        (clock, 90061, "25:01:01"),
        (duration, 0.0123, "0.01 s"),
        (duration, 0.996, "1.0 s"),
        (duration, 4.21, "4.2 s"),
        (duration, 9.96, "10 s"),
        (duration, 59.6, "1:00"),
        (duration, 3723, "1:02:03"),
    ],
)
def test_times_are_as_people_write_them(form: Callable[[float], str], seconds: float, text: str) -> None:
    assert form(seconds) == text
