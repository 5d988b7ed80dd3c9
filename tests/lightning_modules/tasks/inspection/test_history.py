"""What the same noise gave as training went on."""

import io

import pytest
import torch

from lightning_modules.tasks.inspection.history import MAX_SIDE, MAX_TIMES, History, between


def images(value: int, side: int = 4) -> torch.Tensor:
    return torch.full((8, 3, side, side), value, dtype=torch.uint8)


@pytest.mark.parametrize("times", [1, 8, 9, 17, 100])
def test_it_keeps_a_few_moments_at_equal_intervals(times: int) -> None:
    history = History()
    for index in range(times):
        history.add(10 * index, images(index))
    intervals = {later - earlier for earlier, later in zip(history.steps, history.steps[1:], strict=False)}
    assert len(intervals) <= 1
    assert history.steps[0] == 0
    assert min(times, MAX_TIMES // 2) <= len(history.steps) <= MAX_TIMES
    assert [int(image[0, 0, 0, 0]) * 10 for image in history.images] == history.steps


@pytest.mark.parametrize("stopped", [0, 3, 9, 12])
def test_a_resumed_run_keeps_what_an_uninterrupted_one_does(stopped: int) -> None:
    whole, first, resumed = History(), History(), History()
    for index in range(30):
        whole.add(index, images(index))
    for index in range(stopped):
        first.add(index, images(index))
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for index in range(stopped, 30):
        resumed.add(index, images(index))
    assert resumed.steps == whole.steps
    assert torch.equal(torch.stack(resumed.images), torch.stack(whole.images))


def test_a_checkpoint_with_large_images_stays_small() -> None:
    history = History()
    for index in range(50):
        history.add(index, images(200, side=128))
    file = io.BytesIO()
    torch.save(history.state_dict(), file)
    assert file.tell() < MAX_TIMES * 8 * 3 * MAX_SIDE**2 + 4096
    assert set(torch.stack(history.images).unique().tolist()) == {200}


def test_the_present_moment_is_shown_once() -> None:
    history = History()
    history.add(5, images(1))
    assert history.until_now(5, images(2))[0] == [5]
    steps, rows = history.until_now(7, images(2))
    assert steps == [5, 7]
    assert int(rows[1].max()) == 2
    assert history.steps == [5]


def test_the_way_between_two_noises_lies_on_the_sphere() -> None:
    first, last = torch.tensor([3.0, 0, 0]), torch.tensor([0.0, 3, 0])
    path = between(first, last, 5)
    torch.testing.assert_close(path[0], first)
    torch.testing.assert_close(path[-1], last)
    torch.testing.assert_close(path.norm(dim=1), torch.full((5,), 3.0))
    torch.testing.assert_close(path[2], torch.tensor([4.5**0.5, 4.5**0.5, 0]))
    torch.testing.assert_close(between(first, first, 3), first.expand(3, 3))
    assert between(first, -first, 3).isfinite().all()
