"""Average precision over many classes: exact, or within its own bounds, in bounded memory, alike on every process."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor, distributed

from lightning_modules.mlp import MLP
from lightning_modules.tasks import average_precision
from lightning_modules.tasks.average_precision import MeanAveragePrecision
from tests.helpers.pair import on_two_processes
from tests.lightning_modules.tasks.test_tasks import results_of

SIZE, CLASSES = 300, 5


def sampled(labels: bool, ties: bool = False) -> tuple[Tensor, Tensor]:
    """Probabilities, and classes or labels of which the last one never occurs."""
    random = torch.Generator().manual_seed(4)
    target = torch.randint(0, CLASSES - 1, (SIZE,), generator=random)
    logits = torch.randn(SIZE, CLASSES, generator=random)
    logits[torch.arange(SIZE), target] += 1
    if labels:
        target = (torch.rand(SIZE, CLASSES, generator=random) < logits.sigmoid() / 2).long()
        target[:, -1] = 0
    return (logits.round() if ties else logits).softmax(-1), target


def measured(probabilities: Tensor, target: Tensor, size: int = 32) -> MeanAveragePrecision:
    metric = MeanAveragePrecision(CLASSES)
    for part, labels in zip(probabilities.split(size), target.split(size), strict=True):
        metric.update(part, labels)
    return metric


def expected(probabilities: Tensor, target: Tensor) -> float:
    labels = target if target.dim() == 2 else torch.nn.functional.one_hot(target, CLASSES)
    present = labels.any(0).nonzero()[:, 0].tolist()
    return float(np.mean([average_precision_score(labels[:, each], probabilities[:, each]) for each in present]))


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("ties", [False, True])
def test_it_is_that_of_scikit_learn(labels: bool, ties: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(average_precision, "AT_ONCE", 2 * SIZE)  # two classes
    metric = measured(*sampled(labels, ties))
    assert float(metric.compute()) == pytest.approx(expected(*sampled(labels, ties)), abs=1e-6)
    assert metric.error == 0


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("bins", [64, 4096])
def test_more_scores_than_are_kept_give_it_within_the_bounds(
    labels: bool, bins: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(average_precision, "MAX_SCORES", 400)
    monkeypatch.setattr(average_precision, "MAX_BINS", bins)
    metric = measured(*sampled(labels))
    exact = expected(*sampled(labels))
    assert sum(map(Tensor.numel, metric.probabilities)) <= 400
    assert 0 < abs(float(metric.compute()) - exact) <= metric.error
    assert metric.error < (0.6 if bins == 64 else 0.01)
    assert float(metric.compute()) == float(measured(*sampled(labels), size=7).compute()), "whatever the batches"


def test_the_bounds_are_those_of_the_best_and_the_worst_order_in_a_bin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(average_precision, "MAX_SCORES", 1)
    monkeypatch.setattr(average_precision, "MAX_BINS", 1)
    metric = MeanAveragePrecision(1)
    metric.update(torch.rand(4, 1), torch.tensor([[1], [0], [0], [0]]))
    assert float(metric.compute()) == 0.25, "all are one threshold"
    assert metric.error == 0.75, "the positive one may be the first"


def test_equal_scores_are_exact_in_bins_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(average_precision, "MAX_SCORES", 400)
    probabilities, target = sampled(labels=False)
    constant = torch.full_like(probabilities, 1 / CLASSES)  # a baseline's
    assert float(measured(constant, target).compute()) == pytest.approx(expected(constant, target), abs=1e-6)


@pytest.mark.parametrize("kept", [10**6, 400, 1])
def test_two_halves_merge_into_the_whole(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(average_precision, "MAX_SCORES", kept)
    probabilities, target = sampled(labels=False)
    whole, first = measured(probabilities, target), measured(probabilities[:250], target[:250])
    first.merge_state(measured(probabilities[250:], target[250:]))  # 400: one of them in bins, the other not
    assert float(first.compute()) == float(whole.compute())


def test_nothing_that_occurs_is_zero_and_what_always_occurs_is_one() -> None:
    metric = MeanAveragePrecision(2)
    metric.update(torch.rand(3, 2), torch.zeros(3, 2).long())
    assert float(metric.compute()) == 0
    metric.reset()
    metric.update(torch.tensor([[0.2, 0.8], [torch.nan, torch.nan]]), torch.tensor([1, 1]))
    assert float(metric.compute()) == 1


def test_a_test_says_how_far_the_exact_value_may_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    x, y = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)), torch.arange(50) % 3
    results_of(MLP(4, 3), x, y)
    assert "test/average_precision" not in capsys.readouterr().err
    monkeypatch.setattr(average_precision, "MAX_SCORES", 20)
    results_of(MLP(4, 3), x, y)
    assert "note: test/average_precision is of scores rounded to 65,536 values" in capsys.readouterr().err


def compute_shared(kept: int) -> None:
    """Both processes find what one alone finds, where they have seen parts of different sizes."""
    average_precision.MAX_SCORES = kept
    probabilities, target = sampled(labels=False)
    alone = float(measured(probabilities, target).compute())
    distributed.init_process_group("gloo")
    part = slice(0, 250) if distributed.get_rank() == 0 else slice(250, None)
    metric = measured(probabilities[part], target[part])
    before = copy.deepcopy(metric.metric_state)
    found: list[Any] = [None, None]
    distributed.all_gather_object(found, float(metric.compute()))
    assert found == [alone, alone]
    assert all(map(torch.equal, metric.metric_state["probabilities"], before["probabilities"]))


@pytest.mark.long
@pytest.mark.parametrize("kept", [10**6, 600, 2])
def test_two_processes_agree(kept: int, tmp_path: Path) -> None:
    on_two_processes(tmp_path, compute_shared, kept)  # 600: 250 examples are counted in bins, 50 are not
