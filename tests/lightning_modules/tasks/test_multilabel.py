import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score
from torch.nn import functional as F

from lightning_modules.capsnet import CapsNet
from lightning_modules.cnn import CNN
from lightning_modules.tasks.multilabel import label_losses, label_metrics, label_rows, log_odds_of_mean, worst_labels

NAMES = ["cat", "dog", "cow"]
GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(20, 3, generator=GENERATOR)
TARGET = (torch.rand(20, 3, generator=GENERATOR) < 0.4).float()


def test_the_metrics_are_those_of_scikit_learn() -> None:
    metrics = label_metrics(3)
    for part in (slice(0, 7), slice(7, 20)):
        metrics.update(LOGITS[part].sigmoid(), TARGET[part].long())
    found = {name: float(value) for name, value in metrics.compute().items()}
    predicted = LOGITS > 0
    assert found == pytest.approx(
        {
            "average_precision": average_precision_score(TARGET, LOGITS.sigmoid(), average="macro"),
            "f1": f1_score(TARGET, predicted, average="macro"),
            "f1_micro": f1_score(TARGET, predicted, average="micro"),
        }
    )


@pytest.mark.parametrize("present", [[], [0], [2], [0, 2]])
def test_a_label_that_no_example_has_is_not_in_the_mean(present: list[int]) -> None:
    target = torch.zeros(20, 3).long()
    target[:, present] = TARGET[:, present].long()
    metric = label_metrics(3)["average_precision"]
    metric.update(LOGITS.sigmoid(), target)
    expected = [average_precision_score(TARGET[:, each], LOGITS[:, each].sigmoid()) for each in present]
    assert float(metric.compute()) == pytest.approx(sum(expected) / max(len(expected), 1))


def test_the_loss_is_binary_cross_entropy_and_focuses_on_what_is_wrong() -> None:
    expected = F.binary_cross_entropy_with_logits(LOGITS, TARGET)
    torch.testing.assert_close(label_losses(LOGITS, TARGET).mean(), expected)
    smoothed = F.binary_cross_entropy_with_logits(LOGITS, TARGET * 0.8 + 0.1)
    torch.testing.assert_close(label_losses(LOGITS, TARGET, label_smoothing=0.2).mean(), smoothed)
    right, wrong = torch.tensor([[5.0]]), torch.tensor([[-5.0]])
    one = torch.ones(1, 1)
    assert label_losses(right, one, gamma=2) / label_losses(right, one) < 1e-3
    assert label_losses(wrong, one, gamma=2) / label_losses(wrong, one) > 0.9


def test_a_row_has_every_label_from_a_half_and_its_probability() -> None:
    (row,) = label_rows(torch.tensor([[2.0, 0.0, -1.0]]), NAMES)
    assert row["prediction"] == ["cat", "dog"]
    assert row["probabilities"]["dog"] == 0.5
    torch.testing.assert_close(log_odds_of_mean(torch.stack([LOGITS, LOGITS])), LOGITS)


def test_the_worst_mistakes_are_shown_with_all_labels() -> None:
    logits = torch.tensor([[9.0, -9, -9], [9, 9, -9], [-9, -9, -9]])
    order, labels, right = worst_labels(logits, torch.tensor([[1.0, 0, 0], [1, 0, 1], [0, 0, 0]]), NAMES, 3)
    assert order.tolist()[0] == 1
    assert labels[0] == "cat, cow\n→ cat, dog"
    assert sorted(labels[1:]) == ["cat\n→ cat", "none\n→ none"]
    assert right == [False, True, True]


def test_the_baseline_predicts_the_frequency_of_each_label() -> None:
    model = CNN(1, 8, 3, class_counts=[2, 5, 8], num_examples=10, multilabel=True)
    found = model.frequencies((torch.zeros(2, 1, 8, 8), TARGET[:2]))
    torch.testing.assert_close(found, torch.tensor([[0.2, 0.5, 0.8]] * 2))


def test_a_loss_of_its_own_takes_no_labels() -> None:
    with pytest.raises(ValueError, match=r"--data.multilabel true: CapsNet has a loss of its own"):
        CapsNet(1, 8, 3, multilabel=True)
