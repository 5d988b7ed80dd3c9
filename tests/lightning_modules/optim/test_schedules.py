import csv
import math
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from lightning_modules.mlp import MLP
from lightning_modules.optim.schedules import FALLING, Plateau, Schedule, schedule_factor
from scripts.cli.run.trainer import check_training
from tests.helpers.stopping import PLATEAU, SHORT, TWICE, train

NAMES = ["constant", "step", "exponential", "linear", "cosine", "one_cycle", "warmup_stable_decay", "plateau"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("warmup", [0.0, 0.1])
def test_is_from_zero_to_one_and_never_rises_after_the_warm_up(name: Schedule, warmup: float) -> None:
    factor = schedule_factor(name, 1000, warmup)
    values = [factor(step) for step in range(1001)]
    assert all(0 <= value <= 1 for value in values)
    peak = values.index(max(values))
    assert all(later <= earlier + 1e-12 for earlier, later in zip(values[peak:], values[peak + 1 :], strict=False))
    assert max(values) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("name", "step", "expected"),
    [
        ("constant", 999, 1.0),
        ("step", 332, 1.0),
        ("step", 334, 0.1),
        ("step", 999, 0.01),
        ("exponential", 500, 0.1),
        ("linear", 250, 0.75),
        ("cosine", 500, 0.5),
        ("cosine", 1000, 0.0),
        ("one_cycle", 300, 1.0),
        ("one_cycle", 1000, 0.0),
        ("warmup_stable_decay", 800, 1.0),
        ("warmup_stable_decay", 900, 0.5),
        ("warmup_stable_decay", 1000, 0.0),
    ],
)
def test_takes_the_values_of_its_formula(name: Schedule, step: int, expected: float) -> None:
    assert schedule_factor(name, 1000)(step) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", FALLING)
def test_falls_to_the_final_rate(name: Schedule) -> None:
    factor = schedule_factor(name, 1000, 0.1, 0.2)
    values = [factor(step) for step in range(100, 1001)]
    assert max(values) == pytest.approx(1, abs=0.01)
    assert values[-1] == min(values) == pytest.approx(0.2)


def test_a_final_rate_changes_no_schedule_that_does_not_fall() -> None:
    for name in set(get_args(Schedule)) - set(FALLING):
        with_one, without = schedule_factor(name, 10, 0.0, 0.1), schedule_factor(name, 10)
        assert [with_one(step) for step in range(10)] == [without(step) for step in range(10)]
    with pytest.raises(ValueError, match=r"--model.final_rate: expected a fraction of the learning rate"):
        schedule_factor("cosine", 10, 0.0, 1.0)


def test_warms_up_in_a_straight_line() -> None:
    factor = schedule_factor("constant", 100, 0.1)
    assert [factor(step) for step in (0, 4, 9, 10)] == pytest.approx([1 / 11, 5 / 11, 10 / 11, 1])


def test_one_cycle_begins_at_a_twenty_fifth() -> None:
    assert schedule_factor("one_cycle", 10_000)(0) == pytest.approx(1 / 25, rel=0.01)


def test_refuses_a_warm_up_out_of_range() -> None:
    for warmup in (-0.1, 1.0, math.nan):
        with pytest.raises(ValueError, match=r"--model.warmup: expected a fraction"):
            schedule_factor("cosine", 10, warmup)


def waiting(mode: str = "min", warmup: float = 0.0) -> tuple[torch.optim.Optimizer, Plateau]:
    groups: list[dict[str, Any]] = [{"params": [torch.zeros(1)]}, {"params": [torch.zeros(1)], "lr": 0.1}]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    return optimizer, Plateau(optimizer, schedule_factor("plateau", 10, warmup), mode, factor=0.5, patience=2)


def rates(optimizer: torch.optim.Optimizer) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


def test_a_plateau_reduces_every_rate_after_patience_validations_without_improvement() -> None:
    optimizer, schedule = waiting()
    found = []
    for value in (3.0, 2.0, 2.0, math.nan, 2.5, 1.0, 1.5, 1.0):
        optimizer.step()
        schedule.step()
        schedule.judge(value)
        found.append(rates(optimizer)[0])
        assert rates(optimizer)[1] == pytest.approx(0.1 * found[-1])
    assert found == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]


def test_of_an_accuracy_the_greatest_is_best() -> None:
    optimizer, schedule = waiting("max")
    for value in (0.1, 0.2, 0.3, 0.4):
        schedule.judge(value)
    assert rates(optimizer) == [1, 0.1]


def test_a_plateau_warms_up_too_and_falls_within() -> None:
    optimizer, schedule = waiting(warmup=0.4)
    found = []
    for step in range(6):
        found.append(rates(optimizer)[0])
        optimizer.step()
        schedule.step()
        if step < 3:
            schedule.judge(1.0)
    assert found == pytest.approx([1 / 5, 2 / 5, 3 / 5, 0.5 * 4 / 5, 0.5, 0.5])


def test_a_plateau_resumes_from_its_state() -> None:
    _, schedule = waiting()
    for value in (1.0, 2.0, 2.0, 2.0):
        schedule.judge(value)
    _, later = waiting()
    later.load_state_dict(schedule.state_dict())
    assert (later.scale, later.best, later.waited) == (0.5, -1.0, 1)
    assert later.lr_lambdas[0](0) == 0.5


def test_refuses_a_factor_that_does_not_reduce_and_a_metric_of_training() -> None:
    with pytest.raises(ValueError, match=r"--model.plateau_factor: expected more than 0 and less than 1, got 1.0"):
        MLP(num_features=3, num_classes=2, plateau_factor=1.0)
    with pytest.raises(ValueError, match=r"--model.schedule plateau waits for validations"):
        MLP(num_features=3, num_classes=2, schedule="plateau", monitor="train/loss")


def test_a_run_without_an_end_has_no_schedule_that_must_know_it() -> None:
    options = {"max_epochs": None, "max_steps": -1, "max_time": "00:00:00:03"}
    with pytest.raises(ValueError, match=r"--model.schedule cosine has to know the run's length"):
        check_training(options, MLP(num_features=3, num_classes=2, schedule="cosine"))
    check_training(options, MLP(num_features=3, num_classes=2, schedule="plateau", optimizer=torch.optim.SGD))
    with pytest.raises(ValueError, match=r"--model.schedule plateau has to know the run's length"):
        check_training(options, MLP(num_features=3, num_classes=2, schedule="plateau", warmup=0.1))


def test_the_rate_of_a_step_is_logged_and_falls_after_validations_without_improvement(tmp_path: Path) -> None:
    assert train(["--model", "mlp", *SHORT, *TWICE, *PLATEAU, "--logs", str(tmp_path)]) == 0
    with (tmp_path / "mlp" / "version_0" / "metrics.csv").open() as file:
        found = [float(row["lr-AdamW/weights"]) for row in csv.DictReader(file) if row["lr-AdamW/weights"]]
    assert found == pytest.approx([1e-6 * fraction for fraction in (1 / 3, 2 / 3, 1, 1, 0.5, 0.5, 0.25, 0.25)])
