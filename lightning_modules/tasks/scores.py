"""What the scores of several types of problem have in common."""

import math
from typing import NamedTuple

from torch import Tensor


class Scores(NamedTuple):
    """Each of the shape of the counts; 0 where it is undefined."""

    precision: Tensor
    recall: Tensor
    f1: Tensor


def precision_recall_f1(correct: Tensor, predicted: Tensor, true: Tensor) -> Scores:
    """The scores from the numbers of correct predictions, of predictions and of true ones."""
    return Scores(
        correct / predicted.clamp(min=1), correct / true.clamp(min=1), 2 * correct / (predicted + true).clamp(min=1)
    )


def log_mean_probabilities(logits: Tensor) -> Tensor:
    """The logarithms of the mean probabilities, from the logits of several models, (M, …, C)."""
    return logits.log_softmax(-1).logsumexp(0) - math.log(len(logits))
