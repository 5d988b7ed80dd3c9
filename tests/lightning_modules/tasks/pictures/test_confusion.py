"""Pictures of confusion matrices and of the scores of labels."""

import numpy as np
import pytest
import torch

from lightning_modules.tasks.pictures.confusion import (
    MAX_CLASSES,
    MAX_NUMBERS,
    compact,
    confusion_picture,
    fraction,
    grouped,
    label_bars,
    most_confused,
)
from lightning_modules.tasks.pictures.figure import style
from lightning_modules.tasks.scores import Scores
from tests.helpers.picture_texts import drawn_texts, outside

NAMES = ["猫", "a very long name of a class, longer than any label", "非常长的中文类别名称非常长的中文类别名称", "dog"]


def names(count: int) -> list[str]:
    return [f"{NAMES[index % 4]}{index}" for index in range(count)]


def test_counts_are_coloured_by_their_row_with_recall_and_precision_at_the_margins() -> None:
    with style():
        figure = confusion_picture(torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]]), ["猫", "dog", "bird"])
    matrix, recall, precision = (
        np.ma.filled(np.ma.asarray(image.get_array()), np.nan).tolist() for image in figure.axes[0].images
    )
    assert matrix == [[0.75, 0.25, 0], [0, 1, 0], [0, 0, 0]]
    assert recall[:2] == [[0.75], [1]]
    assert precision[0][:2] == [1, pytest.approx(0.8)]
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert sorted(texts[:3]) == ["1", "3", "4"], "a cell without examples is empty"
    assert texts[3:] == [".75", "1", "1", ".80", "–", "–"]
    assert {"猫", "recall", "precision"} < {text.get_text() for text in drawn_texts(figure)}


@pytest.mark.parametrize("count", [2, 10, 30, 100])
def test_no_name_is_cut_off(count: int) -> None:
    confusion = torch.randint(0, 20000, (count, count), generator=torch.Generator().manual_seed(0))
    with style():
        figure = confusion_picture(confusion, names(count))
    assert outside(figure) == []
    shown = min(count, MAX_CLASSES)
    assert len(figure.axes[0].get_yticks()) == shown + 1
    assert len(figure.axes[0].texts) == min(int((confusion > 0).sum()), MAX_NUMBERS) + 2 * shown


def test_of_many_classes_those_that_are_confused_most_are_shown_and_all_others_together() -> None:
    confusion = 5 * torch.eye(4, dtype=torch.long)
    confusion[1, 3], confusion[2, 1] = 7, 1
    kept = most_confused(confusion, 2)
    assert kept.tolist() == [1, 3]
    assert grouped(confusion, kept).tolist() == [[5, 7, 0], [0, 5, 0], [1, 0, 10]]
    large = 9 * torch.eye(100, dtype=torch.long)
    large[70, 3] = 2
    with style():
        figure = confusion_picture(large, names(100))
    shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert "dog3" in shown
    assert shown[-2:] == ["all others", "precision"]
    assert figure.get_suptitle() == f"the {MAX_CLASSES - 1} of 100 classes with the most mistakes"


def test_numbers_fit_their_cells() -> None:
    assert [compact(count) for count in (0, 9999, 10_000, 123_456, 12_345_678)] == ["0", "9999", "10k", "123k", "12M"]
    assert [fraction(value) for value in (0.0, 0.5, 0.9999, 1.0, float("nan"))] == [".00", ".50", ".99", "1", "–"]


@pytest.mark.parametrize("count", [1, 5, 100])
def test_labels_have_a_bar_each_of_many_those_that_are_predicted_worst(count: int) -> None:
    f1 = torch.linspace(1, 0, count)
    with style():
        figure = label_bars(Scores(f1, f1, f1), torch.full((count,), 12345), names(count))
    assert outside(figure) == []
    bars = [bar.get_width() for bar in figure.axes[0].patches]  # type: ignore[attr-defined]
    np.testing.assert_allclose(bars, f1[-MAX_CLASSES:])
    assert figure.axes[0].get_yticklabels()[-1].get_text().endswith("(12k)")
