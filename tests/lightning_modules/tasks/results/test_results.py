"""What each type of problem keeps: the scores that follow from it are the test's, and lie in their intervals."""

from typing import Any

import pytest
import torch
from sacrebleu import BLEU, CHRF
from torchmetrics import MetricCollection

from lightning_modules.linear_regression import LinearRegression
from lightning_modules.lstm import LSTM
from lightning_modules.mlp import MLP
from lightning_modules.tasks.multilabel import label_metrics
from lightning_modules.tasks.reader import References
from lightning_modules.tasks.results.classes import ClassResults, LabelResults
from lightning_modules.tasks.results.intervals import Intervals
from lightning_modules.tasks.results.outcomes import Outcomes
from lightning_modules.tasks.results.results import Results
from lightning_modules.tasks.results.texts import AnswerResults, EntityResults, TranslationResults
from lightning_modules.tasks.results.values import ForecastResults, ValueResults
from lightning_modules.tasks.translator import TranslationScores

SIZE = 200


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def kept(results: Results, prediction: Any, target: Any) -> Outcomes:
    return Outcomes.joined([torch.arange(len(target))], [results.kept(None, prediction, target)])


def assert_covered(found: Intervals, metrics: MetricCollection, prediction: Any, target: Any) -> None:
    """Every metric has an interval, and lies well inside."""
    scores = {name: float(value) for name, value in metrics(prediction, target).items()}
    assert found.keys() == scores.keys()
    for name, (low, high) in found.items():
        assert low < scores[name] < high, name
        assert abs((low + high) / 2 - scores[name]) < 0.35 * (high - low), name


@pytest.mark.parametrize("num_classes", [2, 4])
def test_classes(num_classes: int) -> None:
    target = torch.randint(0, num_classes, (SIZE,))
    logits = torch.randn(SIZE, num_classes) + torch.nn.functional.one_hot(target, num_classes)
    results = ClassResults([f"类{index}" for index in range(num_classes)])
    outcomes = kept(results, logits, target)
    assert_covered(results.intervals(outcomes), MLP(4, num_classes).metrics_of_test(), logits, target)
    rows = results.rows(outcomes)
    assert [*rows][:2] == ["target", "prediction"]
    assert rows["target"][0] == f"类{int(target[0])}"
    assert sum(rows["correct"]) == int((logits.argmax(-1) == target).sum())
    assert rows["loss"] == pytest.approx(torch.nn.functional.cross_entropy(logits, target, reduction="none").tolist())


def test_labels() -> None:
    target = (torch.rand(SIZE, 3) < 0.4).long()
    probabilities = (2 * torch.rand(SIZE, 3) + target) / 3
    results = LabelResults(["a", "b", "c"])
    outcomes = kept(results, probabilities, target)
    assert_covered(results.intervals(outcomes), label_metrics(3), probabilities, target)
    rows = results.rows(outcomes)
    assert rows["target"][0] == ", ".join(name for name, has in zip("abc", target[0].tolist(), strict=True) if has)
    assert rows["p(b)"] == pytest.approx(probabilities[:, 1].tolist())


def test_values() -> None:
    target = torch.randn(SIZE) * 100 + 1e4
    prediction = target + torch.randn(SIZE) * 30
    outcomes = kept(ValueResults(), prediction, target)
    assert_covered(ValueResults().intervals(outcomes), LinearRegression(4).metrics(), prediction, target)
    assert ValueResults().rows(outcomes)["error"] == pytest.approx((prediction - target).tolist())


def test_forecasts() -> None:
    target = torch.randn(SIZE, 5)
    prediction = target + torch.randn(SIZE, 5)
    results = ForecastResults(std=2.0)
    outcomes = kept(results, prediction, target)
    assert_covered(results.intervals(outcomes), LSTM(1, horizon=5, target_std=2.0).metrics(), prediction, target)
    assert len(results.rows(outcomes)["target"][0]) == 5


def test_answers() -> None:
    target = [References(["the red house"], False), References([], False), References(["北京"], True)] * 30
    prediction = ["red house", "", "北"] * 15 + ["a cat", "no", "北京"] * 15
    outcomes = kept(AnswerResults(), prediction, target)
    found, rows = AnswerResults().intervals(outcomes), AnswerResults().rows(outcomes)
    for name in ("exact_match", "f1"):
        assert found[name][0] < sum(rows[name]) / 90 < found[name][1]
    assert rows["target"][:3] == ["the red house", "", "北京"]
    assert rows["exact_match"][:3] == [1, 1, 0]


def test_entities() -> None:
    counts = torch.randint(0, 3, (SIZE, 3)).cummax(1).values  # correct, predicted, true

    def found(*_: Any) -> tuple[list[str], list[str], torch.Tensor]:
        return ["x (place)"] * SIZE, [""] * SIZE, counts

    results = EntityResults(found)
    outcomes = kept(results, counts, counts)
    correct, predicted, true = counts.sum(0).tolist()
    scores = {"precision": correct / predicted, "recall": correct / true, "f1": 2 * correct / (predicted + true)}
    for name, (low, high) in results.intervals(outcomes).items():
        assert low < scores[name] < high
    assert outcomes["loss"].tolist() == (counts[:, 1] + counts[:, 2] - 2 * counts[:, 0]).tolist()


def test_translations() -> None:
    references = [f"the {size} {colour} houses on the hill" for size in ("big", "small") for colour in "abcdefghij"] * 5
    translations = [text if index % 3 else text.replace("houses", "cats") for index, text in enumerate(references)]
    results = TranslationResults(BLEU(), CHRF())
    outcomes = kept(results, translations, references)
    scores = TranslationScores("13a")
    scores.update(translations, references)
    found = results.intervals(outcomes)
    for name, value in scores.compute().items():
        assert found[name][0] < float(value) < found[name][1], name
    assert results.rows(outcomes)["exact_match"][:2] == [0, 1]


def test_translations_of_which_none_is_right_have_an_interval() -> None:
    results = TranslationResults(BLEU(), CHRF())
    outcomes = kept(results, ["", "x", "的"], ["ten red sheep", "one", "一二三"])
    assert results.intervals(outcomes)["bleu"] == (0, 0)
