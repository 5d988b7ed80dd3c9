"""The picture of a classifier's curves."""

import pytest
import torch
from matplotlib.figure import Figure
from torch.nn import functional as F

from lightning_modules.tasks.pictures.curves import MAX_POINTS, WORST, curves_picture, thinned
from lightning_modules.tasks.pictures.figure import figure_file, style
from lightning_modules.tasks.results.curves import Curve, precision_recall
from tests.helpers.picture_texts import outside

NAMES = ["猫", "a very long name of a class, longer than any label", "非常长的中文类别名称非常长的中文类别名称", "dog"]


def picture(classes: int, size: int = 500, spoilt: int = 0) -> Figure | None:
    random = torch.Generator().manual_seed(0)
    logits, target = torch.randn(size, classes, generator=random), torch.randint(0, classes, (size,), generator=random)
    logits[torch.arange(size), target] += 2
    probabilities = logits.softmax(1)
    probabilities[:spoilt] = torch.nan
    confidence, predicted = probabilities.max(1)
    positive = F.one_hot(target, classes).bool()
    names = [f"{NAMES[index % 4]}{index}" for index in range(classes)]
    with style():
        return curves_picture(probabilities, positive, confidence, predicted == target, names)


@pytest.mark.parametrize(("classes", "lines"), [(2, 1), (3, 3), (10, 10), (11, 1 + WORST), (100, 1 + WORST)])
def test_each_class_has_a_curve_up_to_ten_and_of_more_the_mean_and_the_worst(classes: int, lines: int) -> None:
    figure = picture(classes)
    assert figure is not None
    assert outside(figure) == []
    assert len(figure.axes[0].lines) == lines
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(labels) == lines + 1
    assert labels[0].startswith("mean of" if classes > 10 else NAMES[1][:8] if classes == 2 else "猫0")
    assert len(figure_file(figure, "svg")) < 250_000


def test_of_two_labels_both_have_a_curve() -> None:
    probabilities = torch.tensor([[0.9, 0.8], [0.2, 0.7], [0.4, 0.1]])
    positive = torch.tensor([[True, True], [False, False], [True, False]])
    with style():
        figure = curves_picture(probabilities, positive, probabilities.flatten(), positive.flatten(), ["_cat", "dog"])
    assert figure is not None
    assert len(figure.legends[0].get_texts()) == 3, "and all predictions together"
    assert len(figure.axes[0].lines) == 2


def test_predictions_that_are_not_finite_are_left_out_and_told() -> None:
    figure = picture(3, spoilt=7)
    assert figure is not None
    assert figure.get_suptitle().endswith("7 examples without finite probabilities are left out")
    assert picture(3, size=20, spoilt=20) is None


def test_a_single_example_has_a_picture() -> None:
    assert picture(3, size=1) is not None


def test_a_curve_of_many_points_is_thinned_along_its_length() -> None:
    random = torch.Generator().manual_seed(0)
    score = torch.rand(20_000, generator=random)
    curve = precision_recall(score, torch.rand(20_000, generator=random) < score)
    assert curve is not None
    x, y = thinned(curve)
    assert len(x) <= MAX_POINTS + 2
    assert (x[0], x[-1]) == (0, 1)
    kept = Curve(torch.tensor(x).double(), torch.tensor(y).double(), 0)
    area, expected = torch.trapezoid(kept.y, kept.x), torch.trapezoid(curve.y, curve.x)
    assert float(area) == pytest.approx(float(expected), abs=0.01)
