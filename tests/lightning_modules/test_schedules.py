import math

import pytest

from lightning_modules.schedules import schedule_factor

NAMES = ["constant", "step", "exponential", "linear", "cosine", "one_cycle"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("warmup", [0.0, 0.1])
def test_stays_between_nought_and_one_and_never_rises_after_the_warm_up(name, warmup):
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
    ],
)
def test_takes_the_values_of_its_formula(name, step, expected):
    assert schedule_factor(name, 1000)(step) == pytest.approx(expected, abs=1e-9)


def test_warms_up_in_a_straight_line():
    factor = schedule_factor("constant", 100, 0.1)
    assert [factor(step) for step in (0, 4, 9, 10)] == pytest.approx([1 / 11, 5 / 11, 10 / 11, 1])


def test_one_cycle_begins_at_a_twenty_fifth():
    assert schedule_factor("one_cycle", 10_000)(0) == pytest.approx(1 / 25, rel=0.01)


def test_refuses_a_warm_up_that_is_no_share():
    for warmup in (-0.1, 1.0, math.nan):
        with pytest.raises(ValueError, match=r"--model.warmup: expected a share"):
            schedule_factor("cosine", 10, warmup)
