"""Label propagation: the labels of the training nodes flow along the edges of the graph."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from datamodules.baselines.baseline import Baseline, Fitted, Predictor

STEPS = 100
EPSILON = 1e-12


def propagated(adjacency: Tensor, known: Tensor, share: float, steps: int = STEPS) -> Tensor:
    """`(1 - α) (I - α S)^-1 Y`, by iteration of `F ← α S F + (1 - α) Y`.

    Args:
        adjacency: S, sparse (N, N), normalised symmetrically.
        known: Y, (N, C), one-hot in the rows of known labels, 0 in the others.
        share: α, from 0 to below 1, that a node takes from its neighbours.
        steps: number of iterations.
    """
    found = known
    for _ in range(steps):
        found = share * (adjacency @ found) + (1 - share) * known
    return found


class LabelPropagation(Baseline):
    """The training nodes' classes, spread along the edges; no features are read.

    Zhou et al. 2004, https://papers.nips.cc/paper/2506-learning-with-local-and-global-consistency. A batch is
    `(Graph, classes)`, of the whole graph or of a part.

    Args:
        num_classes: C
        adjacency: returns S of the whole graph.
        share: α, that a node takes from its neighbours in each step.
    """

    transfers = False
    max_examples = 10**9  # all labels: the graph is read as a whole anyway

    def __init__(self, num_classes: int, adjacency: Callable[[], Tensor], share: float = 0.9) -> None:
        self.num_classes = num_classes
        self.adjacency = adjacency
        self.share = share

    def fit(self, batches: Iterable[Any]) -> Fitted:
        """`logits` (N, C), of all nodes."""
        graphs, targets = zip(*batches, strict=True)
        nodes, target = torch.cat([graph.requested for graph in graphs]), torch.cat(targets)
        adjacency = self.adjacency()
        known = torch.zeros(adjacency.shape[0], self.num_classes)
        known[nodes] = F.one_hot(target, self.num_classes).float()
        prior = known.sum(0) / known.sum()  # of a node that no label reaches
        return {"logits": (propagated(adjacency, known, self.share) + EPSILON * prior).clamp(min=1e-30).log()}

    def predictor(self, fitted: Fitted) -> Predictor:
        """Logits (B, C) of the requested nodes."""
        return lambda batch: fitted["logits"][batch[0].requested.cpu()]
