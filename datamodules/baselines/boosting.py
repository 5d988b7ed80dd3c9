"""Gradient boosting, scikit-learn's histogram version, with its trees as tensors."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.baselines.baseline import Baseline, Fitted, Predictor
from datamodules.baselines.linear import gathered, max_examples

MAX_TREES = 300  # of all classes together
MAX_VALUES = 2_000_000  # that are fitted to, features times examples: three seconds on one core
MAX_ITERATIONS, MIN_ITERATIONS = 100, 10  # each of one tree a class
AT_ONCE = 1024  # examples that go down all trees together


class Boosting(Baseline):
    """Gradient-boosted trees; a batch is `(features, classes)` or `(features, values)`.

    Friedman 2001, https://doi.org/10.1214/aos/1013203451; on histograms as LightGBM, Ke et al. 2017.

    Args:
        num_features: F
        num_classes: C; None for regression.
    """

    def __init__(self, num_features: int, num_classes: int | None = None) -> None:
        self.num_classes = num_classes
        self.max_examples = max_examples(num_features, MAX_VALUES)

    def fit(self, batches: Iterable[Any]) -> Fitted:
        """The trees, end to end: `roots` (T,), and of each node what it compares with what, and where it leads."""
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        features, target = gathered(batches)
        trees_a_step = self.num_classes if self.num_classes and self.num_classes > 2 else 1
        steps = min(MAX_ITERATIONS, max(MIN_ITERATIONS, MAX_TREES // trees_a_step))
        settings: dict[str, Any] = {"max_iter": steps, "early_stopping": False, "random_state": 0}
        if self.num_classes is None:
            regressor = HistGradientBoostingRegressor(**settings).fit(features.numpy(), target.double().numpy())
            return as_tensors(regressor)
        classifier = HistGradientBoostingClassifier(**settings).fit(features.numpy(), target.numpy())
        return as_tensors(classifier) | {"classes": torch.from_numpy(classifier.classes_)}

    def predictor(self, fitted: Fitted) -> Predictor:
        """Logits (B, C); of regression values (B,)."""

        def predict(batch: Any) -> Tensor:
            scores = torch.cat(
                [sum_of_leaves(fitted, part) for part in batch[0].flatten(1).float().cpu().split(AT_ONCE)]
            )
            if self.num_classes is None:
                return scores[:, 0].float()
            if scores.shape[1] == 1:  # the log-odds of the second of two classes
                scores = torch.cat([torch.zeros_like(scores), scores], dim=1)
            logits = torch.full((len(scores), self.num_classes), -torch.inf)
            logits[:, fitted["classes"]] = scores.float()
            return logits

        return predict


def as_tensors(model: Any) -> Fitted:
    """The trees of a fitted model. scikit-learn has no public name for them."""
    trees = [tree.nodes for step in model._predictors for tree in step]
    sizes = np.array([len(nodes) for nodes in trees])
    first = sizes.cumsum() - sizes
    nodes = np.concatenate(trees)
    offset = np.repeat(first, sizes)
    leaf, itself = nodes["is_leaf"].astype(bool), np.arange(len(nodes))
    return {
        "roots": torch.from_numpy(first),
        "feature": torch.from_numpy(np.where(leaf, 0, nodes["feature_idx"]).astype(np.int64)),
        "threshold": rounded_down(torch.from_numpy(nodes["num_threshold"].astype(np.float64))),
        "left": torch.from_numpy(np.where(leaf, itself, offset + nodes["left"])),
        "right": torch.from_numpy(np.where(leaf, itself, offset + nodes["right"])),
        "value": torch.from_numpy(nodes["value"].astype(np.float64)),
        "start": torch.from_numpy(np.asarray(model._baseline_prediction, np.float64).reshape(-1)),
    }


def rounded_down(values: Tensor) -> Tensor:
    """float64 as the next smaller float32, with which a float32 compares in the same way."""
    rounded = values.float()
    above = rounded.double() > values
    return torch.where(above, torch.nextafter(rounded, torch.full_like(rounded, -torch.inf)), rounded)


def sum_of_leaves(fitted: Fitted, features: Tensor) -> Tensor:
    """(B, F) → (B, K), the sums over the trees of each of K scores, of which every K-th tree is."""
    trees = len(fitted["roots"])
    place, wanders = fitted["roots"].repeat(len(features)), torch.arange(len(features) * trees)  # (B · T,)
    while len(wanders):  # a path has seven nodes in the mean, and the longest twice as many
        here = place[wanders]
        goes_left = features[wanders // trees, fitted["feature"][here]] <= fitted["threshold"][here]
        there = torch.where(goes_left, fitted["left"][here], fitted["right"][here])
        place[wanders] = there
        wanders = wanders[fitted["left"][there] != there]  # a leaf leads to itself
    scores = len(fitted["start"])
    return fitted["value"][place].view(len(features), -1, scores).sum(1) + fitted["start"]
