"""The nearest class mean on pixels."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from datamodules.baselines.baseline import Baseline, Fitted, Predictor
from datamodules.baselines.linear import max_examples

MAX_FEATURES = 2000  # examples that a pretrained network reads
SIDE = 32  # pixels, to which larger images are averaged


def pixels(images: Tensor) -> Tensor:
    """(B, C, H, W) → (B, C · h · w), where neither side is longer than SIDE."""
    images = images.float().cpu()
    height, width = (min(SIDE, side) for side in images.shape[2:])
    return F.adaptive_avg_pool2d(images, (height, width)).flatten(1)


class NearestMean(Baseline):
    """The class whose mean image is nearest; of several labels each for itself, against the images without it.

    The logits are those of normal distributions around the means with one variance in all directions. A batch is
    `(images, classes)`, or `(images, labels)` with (B, C) labels, 0 or 1.

    On pretrained features the means are the prototypes of Snell et al. 2017, https://arxiv.org/abs/1703.05175.

    Args:
        num_values: of an image, as it is read.
        num_classes: C
        multilabel: whether an image has any number of the classes.
    """

    def __init__(self, num_values: int, num_classes: int, multilabel: bool = False) -> None:
        self.num_classes = num_classes
        self.multilabel = multilabel
        self.features: Callable[[Tensor], Tensor] = pixels
        self.max_examples = 10 * max_examples(num_values)  # they are only added up

    def on(self, features: Callable[[Tensor], Tensor]) -> Baseline:
        """The nearest mean of features."""
        other = NearestMean(1, self.num_classes, self.multilabel)
        other.features, other.max_examples, other.transfers = features, MAX_FEATURES, False
        return other

    def fit(self, batches: Iterable[Any]) -> Fitted:
        """`mean` (C, P), `without` (C, P) of the others, `variance`, a scalar, and `prior` (C,), logits."""
        count, total = torch.zeros(self.num_classes, dtype=torch.double), torch.zeros(())
        squares, everything, size = 0.0, torch.zeros(()), 0
        for images, target in batches:
            x = self.features(images).double()
            has = (target if self.multilabel else F.one_hot(target, self.num_classes)).double()  # (B, C)
            count, total = count + has.sum(0), total + has.T @ x
            squares, everything, size = squares + float((x**2).sum()), everything + x.sum(0), size + len(x)
        mean = total / count[:, None].clamp(min=1)
        rest = (size - count)[:, None]
        without = (everything - total) / rest.clamp(min=1)
        # what is left of the squares around the means, or around the mean of all where an image has several
        explained = size * ((everything / size) ** 2).sum() if self.multilabel else (count[:, None] * mean**2).sum()
        variance = max((squares - float(explained)) / max(size, 1) / mean.shape[1], 1e-6)
        prior = torch.log((count + 1) / (size - count + 1))
        kept = {"mean": mean, "without": without, "prior": prior, "seen": count > 0}
        return {name: value.float() for name, value in kept.items()} | {"variance": variance}

    def predictor(self, fitted: Fitted) -> Predictor:
        """Logits (B, C); of several labels the probability of each."""

        def near(x: Tensor, means: Tensor) -> Tensor:
            return -(torch.cdist(x, means) ** 2) / (2 * fitted["variance"])

        def predict(batch: Any) -> Tensor:
            x = self.features(batch[0])
            logits = near(x, fitted["mean"])
            if self.multilabel:
                return (logits - near(x, fitted["without"]) + fitted["prior"]).sigmoid()
            return logits.masked_fill(fitted["seen"] == 0, -torch.inf)

        return predict
