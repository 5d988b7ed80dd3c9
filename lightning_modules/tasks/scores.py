"""What the scores of several types of problem have in common."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor


class Scores(NamedTuple):
    """Each of the shape of the counts; 0 where it is undefined."""

    precision: Tensor
    recall: Tensor
    f1: Tensor


def precision_recall_f1(correct: Tensor, predicted: Tensor, true: Tensor) -> Scores:
    """The scores from the numbers of correct predictions, of predictions and of true ones."""
    if not correct.is_floating_point():  # counts, whose ratios are of the default type, which may be a half
        correct, predicted, true = correct.float(), predicted.float(), true.float()
    return Scores(
        correct / predicted.clamp(min=1), correct / true.clamp(min=1), 2 * correct / (predicted + true).clamp(min=1)
    )


def log_mean_probabilities(logits: Tensor) -> Tensor:
    """The logarithms of the mean probabilities, from the logits of several models, (M, …, C)."""
    return logits.log_softmax(-1).logsumexp(0) - math.log(len(logits))


def class_rows(probabilities: Tensor, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Each example's most probable class and the probability of every class, from (B, C)."""
    return [
        {
            "prediction": class_names[int(row.argmax())],
            "probabilities": dict(zip(class_names, row.tolist(), strict=True)),
        }
        for row in probabilities.cpu()
    ]
