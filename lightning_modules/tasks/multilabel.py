"""Classification with several labels an example: each class is present or not, whatever the others are."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MetricCollection
from torchmetrics.classification import MultilabelF1Score

from lightning_modules.tasks import boards
from lightning_modules.tasks.average_precision import MeanAveragePrecision
from lightning_modules.tasks.scores import precision_recall_f1

THRESHOLD = 0.5  # probability from which a class is predicted


def label_losses(logits: Tensor, target: Tensor, gamma: float = 0.0, label_smoothing: float = 0.0) -> Tensor:
    """Binary cross-entropy of each example, the mean over the classes; the focal loss where γ is not 0.

    Args:
        logits: (B, C)
        target: (B, C) 0 or 1; of mixed images a fraction.
        gamma: γ, of the focal loss.
        label_smoothing: fraction of each target that is distributed evenly over present and absent.

    Returns:
        (B,)
    """
    logits, target = logits.float(), target.float() * (1 - label_smoothing) + label_smoothing / 2
    losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    if gamma:
        missed = (target - logits.sigmoid()).abs().clamp(min=torch.finfo(torch.float).eps)
        losses = losses * missed**gamma
    return losses.mean(1)


def label_metrics(num_classes: int) -> MetricCollection:
    """Mean average precision, and F1 of all classes, as their mean and of all decisions together."""
    return MetricCollection(
        {
            "average_precision": MeanAveragePrecision(num_classes),
            "f1": MultilabelF1Score(num_classes, average="macro", threshold=THRESHOLD),
            "f1_micro": MultilabelF1Score(num_classes, average="micro", threshold=THRESHOLD),
        }
    )


def log_odds_of_mean(logits: Tensor) -> Tensor:
    """The logits of the mean probabilities of several models, (M, …, C)."""
    return logits.float().sigmoid().mean(0).logit(eps=torch.finfo(torch.float).eps)


def label_counts(confusion: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How often each class is predicted correctly, is predicted, and is there, (C,) each, from (C, 2, 2) counts."""
    return confusion[:, 1, 1], confusion[:, :, 1].sum(1), confusion[:, 1].sum(1)


def scores_of(confusion: Tensor, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Precision, recall and F1 of each class, and how many test examples have it, from (C, 2, 2) counts."""
    correct, predicted, true = label_counts(confusion)
    columns = [*precision_recall_f1(correct, predicted, true), true]
    keys = ("precision", "recall", "f1", "examples")
    rows = zip(names, *(column.tolist() for column in columns), strict=True)
    return {name: dict(zip(keys, scores, strict=True)) for name, *scores in rows}


def scores_table(confusion: Tensor, names: Sequence[str]) -> str:
    """The scores of each class as a Markdown table."""
    rows = [[boards.escape(name), *scores.values()] for name, scores in scores_of(confusion, names).items()]
    return boards.table(["class", "precision", "recall", "F1", "examples"], rows)


def label_rows(logits: Tensor, names: Sequence[str]) -> list[dict[str, Any]]:
    """Each example's labels, and the probability of each of them, from (B, C) logits."""
    return [
        {
            "prediction": [name for name, probability in zip(names, row, strict=True) if probability >= THRESHOLD],
            "probabilities": dict(zip(names, row, strict=True)),
        }
        for row in logits.float().sigmoid().tolist()
    ]


def worst_labels(
    logits: Tensor, target: Tensor, names: Sequence[str], count: int
) -> tuple[Tensor, list[str], list[bool]]:
    """The examples with the largest loss, worst first, texts such as `cat, dog` over `→ cat`, and which are right."""
    order = label_losses(logits, target).argsort(descending=True)[:count].cpu()
    true = boards.class_labels(target[order.to(target.device)].float(), names)
    predicted = [", ".join(row["prediction"]) or "none" for row in label_rows(logits[order.to(logits.device)], names)]
    pairs = [*zip(true, predicted, strict=True)]
    return order, [f"{labels}\n→ {found}" for labels, found in pairs], [labels == found for labels, found in pairs]
