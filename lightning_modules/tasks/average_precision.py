"""Average precision over many classes, in time linear in the scores and in bounded memory."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, distributed
from torchmetrics import Metric

MAX_SCORES = 2**26  # that are kept, 256 MB: ImageNet's 50,000 × 1,000 and their baselines' are exact
AT_ONCE = 2**22  # scores in a copy for sorting
MAX_BINS = 2**16  # of a class
MAX_COUNTS = 2**25  # of all classes, 128 MB
LOWEST, HIGHEST = -47.0, 17.0  # log-odds: 32-bit probabilities end at 1 - 2^-24, whose log-odds are 16.6


class MeanAveragePrecision(Metric):
    """The mean of the classes' average precision, over the classes that occur; equal scores are one threshold.

    It is exact up to 2^26 scores, of all processes together. Of more, each class's scores are counted in bins of equal
    width of their log-odds, the scores of a bin taken for equal, and `error` bounds how far that may be from the exact
    value.

    Args:
        num_classes: C

    Shapes:
        probabilities: (B, C)
        target: (B,) classes, or (B, C) 0 or 1 where an example has any number of them.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    probabilities: list[Tensor]
    target: list[Tensor]
    counts: list[Tensor]

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.num_bins = min(MAX_BINS, max(1, MAX_COUNTS // (2 * num_classes)))
        self.error = 0.0
        for state in ("probabilities", "target", "counts"):  # counts: none, or one of each process
            self.add_state(state, default=[], dist_reduce_fx="cat")

    def update(self, probabilities: Tensor, target: Tensor) -> None:
        """Take a batch; NaN ranks as 1, as torch sorts it."""
        probabilities = probabilities.float().nan_to_num(nan=1.0)
        self.probabilities.append(probabilities)
        self.target.append(target)
        # No list stays empty: processes gather tensors of equal dimensions, of those which have none as well.
        shape = 2, self.num_classes, self.num_bins
        self.counts = self.counts or [probabilities.new_empty(0, *shape, dtype=torch.int)]
        processes = distributed.get_world_size() if distributed.is_initialized() else 1
        if sum(map(Tensor.numel, self.probabilities)) > MAX_SCORES // processes:
            if not len(self.counts[0]):
                self.counts = [probabilities.new_zeros(1, *shape, dtype=torch.int)]
            for part, labels in zip(self.probabilities, self.target, strict=True):
                count(self.counts[0][0], part, labels)
            self.probabilities, self.target = [probabilities[:0]], [target[:0]]

    def compute(self) -> Tensor:
        """The mean; 0 where no class occurs."""
        parts, labels = _listed(self.probabilities), _listed(self.target)
        of_processes = torch.cat(_listed(self.counts))
        self.error = 0.0
        if not len(of_processes):
            return exact(parts, torch.cat(labels), self.num_classes)
        counts = of_processes.sum(0, dtype=torch.int)
        for part, label in zip(parts, labels, strict=True):
            count(counts, part, label)
        value, self.error = binned(counts)
        return value


def _listed(state: Tensor | list[Tensor]) -> list[Tensor]:
    return [state] if isinstance(state, Tensor) else state  # processes join theirs


def positives_of(target: Tensor, index: int) -> Tensor:
    """Whether each example is of a class, (N,), from (N,) classes or (N, C) 0 or 1."""
    return target == index if target.dim() == 1 else target[:, index] > 0


def exact(parts: Sequence[Tensor], target: Tensor, num_classes: int) -> Tensor:
    """The mean over the classes that occur; a copy is made of some classes' scores at a time.

    Args:
        parts: the probabilities of batches, (B, C) each.
        target: (N,) or (N, C), of all of them.
        num_classes: C
    """
    found = []
    step = max(1, AT_ONCE // max(len(target), 1))
    for first in range(0, num_classes, step):
        columns = torch.cat([part[:, first : first + step] for part in parts]).T.contiguous()
        for index, score in enumerate(columns, start=first):
            positive = positives_of(target, index)
            if positive.any():
                found.append(average_precision(score, score[positive]))
    return torch.stack(found).mean() if found else torch.zeros((), device=target.device)


def average_precision(score: Tensor, positives: Tensor) -> Tensor:
    """The mean precision at the positive examples: only they are sorted, of which a class has few among many.

    Args:
        score: (N,) of all examples.
        positives: (P,) of the positive ones, at least one.
    """
    ordered = positives.sort().values
    reached = torch.bincount(torch.searchsorted(ordered, score, right=True), minlength=len(ordered) + 1)
    selected = reached.flip(0).cumsum(0).flip(0)[1:]  # of all examples, with the threshold at each positive one
    true = len(ordered) - torch.searchsorted(ordered, ordered)
    return (true / selected).mean()


def count(counts: Tensor, probabilities: Tensor, target: Tensor) -> None:
    """Add a batch's scores to the counts, in place.

    Args:
        counts: (2, C, bins), of all scores and of the positive ones'.
        probabilities: (B, C)
        target: (B,) or (B, C)
    """
    _, num_classes, num_bins = counts.shape
    scale = num_bins / (HIGHEST - LOWEST)
    bins = ((probabilities.logit() - LOWEST) * scale).clamp(0, num_bins - 1).long()
    places = bins + num_bins * torch.arange(num_classes, device=bins.device)
    positive = places.gather(1, target[:, None])[:, 0] if target.dim() == 1 else places[target > 0]
    for table, chosen in zip(counts.flatten(1), (places.flatten(), positive), strict=True):
        table.index_add_(0, chosen, table.new_ones(len(chosen)))


def binned(counts: Tensor) -> tuple[Tensor, float]:
    """The mean over the classes that occur, from (2, C, bins) counts, and how far the exact one may be from it.

    The bounds are those in which all positive examples of a bin come before its others, or all after them.
    """
    values = []
    for every, positive in zip(*counts.flip(2), strict=True):
        if not positive.any():
            continue
        selected, true = every.cumsum(0), positive.cumsum(0)
        gained = positive.nonzero()[:, 0]
        every, positive, selected, true = (each[gained].float() for each in (every, positive, selected, true))
        first, last = selected - every + positive, selected - positive + 1
        precisions = torch.stack([true / selected, true / first, (true - positive + 1) / last])
        values.append(precisions @ positive / positive.sum())
    if not values:
        return counts.new_zeros((), dtype=torch.float), 0.0
    value, highest, lowest = torch.stack(values).mean(0)
    return value, float(torch.maximum(highest - value, value - lowest))
